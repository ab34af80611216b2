-- KEYS: the index. ARGV: id, title, passenger_capacity, maximum_speed, in_stock,
-- and "insert" to replace nothing that is whole.
-- Returns 1, or 0 where the product exists.
local id = ARGV[1]
local key = 'products:' .. id
if ARGV[6] == 'insert' and stockOf(id) then return 0 end
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end
redis.call('HSET', key, 'id', id, 'title', ARGV[2],
  'passenger_capacity', ARGV[3], 'maximum_speed', ARGV[4], 'in_stock', ARGV[5])
redis.call('ZADD', KEYS[1], 0, id)
return 1
