-- KEYS: the holds. ARGV: the restock's marker, the time in seconds, the product's
-- id, how many units to add, and from how many in stock on there would be too many.
-- The marker is kept like a hold: of less than nothing. Returns how it ended,
-- "missing", "reused", "full", "added" or "replayed", and for the last two title,
-- passenger_capacity, maximum_speed and in_stock of the product as it is then.
--
-- Comparing a stock with a number below 2^53 is exact, as in hold.lua.
local marker, id, quantity = ARGV[1], ARGV[3], ARGV[4]
local key = 'products:' .. id

local function ended(how)
  local p = redis.call('HMGET', key, 'title', 'passenger_capacity', 'maximum_speed', 'in_stock')
  return {how, p[1], p[2], p[3], p[4]}
end

local kept = redis.call('HGET', KEYS[1], marker)
if kept then
  local _, _, _, held = cmsgpack.unpack(kept)
  if held[id] ~= -tonumber(quantity) then return {'reused'} end
end
local stock = stockOf(id)
if not stock then return {'missing'} end
if kept then return ended('replayed') end
if tonumber(stock) > tonumber(ARGV[5]) then return {'full'} end
redis.call('HINCRBY', key, 'in_stock', quantity)
redis.call('HSET', KEYS[1], marker, cmsgpack.pack(tonumber(ARGV[2]), '1', nil, {[id] = -tonumber(quantity)}))
return ended('added')
