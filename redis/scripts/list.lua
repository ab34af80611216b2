-- ARGV: the first id and the last, as ZRANGEBYLEX has them, and a limit. Returns others as it is and as
-- it was noted (nil: never), how many ids were looked at and the last of them,
-- and then id, title, passenger_capacity, maximum_speed and in_stock of each
-- product, with nil for what it lacks.
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local page = {0, redis.call('GET', KEYS[2]), #ids, ids[#ids] or ''}
for _, id in ipairs(ids) do
  local key = 'products:' .. id
  local p = redis.pcall('HMGET', key, 'title', 'passenger_capacity', 'maximum_speed', 'in_stock')
  if p.err and string.sub(p.err, 1, 9) ~= 'WRONGTYPE' then return p end
  if not (p[1] or p[2] or p[3] or p[4]) and redis.call('EXISTS', key) == 0 then
    redis.pcall('ZREM', KEYS[1], id) -- where nothing can be written now, it is passed over only
  else
    page[#page + 1] = id
    for i = 1, 4 do page[#page + 1] = p[i] or false end
  end
end
page[1] = others()
return page
