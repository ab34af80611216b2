-- ARGV: cursor. Puts the products that a part of the database has into the index.
-- Returns the next cursor, others as it was before, and how many were new.
local before, added = others(), {}
local page = redis.call('SCAN', ARGV[1], 'MATCH', 'products:*', 'COUNT', 500)
for _, key in ipairs(page[2]) do
  added[#added + 1] = 0
  added[#added + 1] = string.sub(key, #'products:' + 1)
end
local n = 0
for i = 1, #added, 1000 do
  n = n + redis.call('ZADD', KEYS[1], unpack(added, i, math.min(i + 999, #added)))
end
return {page[1], before, n}
