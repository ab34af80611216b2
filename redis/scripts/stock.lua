-- isWhole says whether v spells an integer that Redis counts with: of 64 bits,
-- and written the one way that Redis writes it.
local function isWhole(v)
  if not v then return false end
  local sign, digits = string.match(v, '^(%-?)([1-9]%d*)$')
  if not digits then return v == '0' end
  if #digits ~= 19 then return #digits < 19 end
  return digits <= (sign == '' and '9223372036854775807' or '9223372036854775808')
end

-- stockOf returns what is in stock of a product, as text, or nil where there is
-- no whole product.
local function stockOf(id)
  local p = redis.pcall('HMGET', 'products:' .. id, 'in_stock', 'passenger_capacity', 'maximum_speed', 'title')
  if p.err then
    if string.sub(p.err, 1, 9) == 'WRONGTYPE' then return nil end
    error(p.err)
  end
  if isWhole(p[1]) and isWhole(p[2]) and isWhole(p[3]) and p[4] then return p[1] end
  return nil
end
