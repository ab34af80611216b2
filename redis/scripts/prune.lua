-- ARGV: where to begin, as ZRANGEBYLEX has it. Takes products that do not exist
-- out of a part of the index. Returns where to go on, or "" at the end, and how
-- many there were.
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, 500)
local n = 0
for _, id in ipairs(ids) do
  if redis.call('EXISTS', 'products:' .. id) == 0 then n = n + redis.call('ZREM', KEYS[1], id) end
end
return {#ids < 500 and '' or '(' .. ids[#ids], n}
