-- KEYS: the index. ARGV: id, title, passenger_capacity, maximum_speed.
-- Returns what is in stock, as text, "" where there is no whole product.
local stock = stockOf(ARGV[1])
if stock then
  redis.call('HSET', 'products:' .. ARGV[1], 'title', ARGV[2], 'passenger_capacity', ARGV[3], 'maximum_speed', ARGV[4])
end
return stock or ''
