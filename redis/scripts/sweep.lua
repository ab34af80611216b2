-- KEYS: the holds. ARGV: cursor, and the time in seconds before which holds are
-- forgotten. Returns the next cursor.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 500)
local old = {}
for i = 1, #page[2], 2 do
  local _, changed = cmsgpack.unpack_one(page[2][i + 1])
  if changed < tonumber(ARGV[2]) then old[#old + 1] = page[2][i] end
end
for i = 1, #old do redis.call('HDEL', KEYS[1], old[i]) end
return page[1]
