-- KEYS: the index. ARGV: id. Returns 1, or 0 where there is nothing to delete.
local deleted = redis.call('DEL', 'products:' .. ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
return deleted
