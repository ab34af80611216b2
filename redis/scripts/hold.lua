-- KEYS: the holds. ARGV: the hold's id, its version, the time in seconds, "hold"
-- or "take", how many products it wants, those as id and quantity, ids in byte
-- order, and then what it held before, as id and quantity.
--
-- A hold is kept as time, version, refusal or nil, and a map of what is held.
-- Returns the refusal, or nothing, or "stale" and the last version:
--   "missing", id
--   "short", id, requested, in stock, and so on
--
-- Redis does not undo what a script that fails has written: what may fail comes
-- before the first write, or is that (READONLY, MISCONF, OOM). Quantities are below 2^53, which doubles hold
-- exactly. So does comparing one with a stock, which has 64 bits: rounding the
-- stock to a double keeps it on its side of every such number.
local id, version, now, taking = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == 'take'
local lastWanted = 5 + 2 * tonumber(ARGV[5])

local function isNewer(a, b) -- versions may have 64 bits
  if #a ~= #b then return #a > #b end
  return a > b
end

local function quantities(from, to)
  local q = {}
  for i = from, to, 2 do q[ARGV[i]] = tonumber(ARGV[i + 1]) end
  return q
end

local function written(n) return string.format('%.0f', n) end

local wanted, held = quantities(6, lastWanted), quantities(lastWanted + 1, #ARGV)
local kept = redis.call('HGET', KEYS[1], id)
if kept then
  local _, last, refusal, keptHeld = cmsgpack.unpack(kept)
  if last == version then return refusal or {} end
  if isNewer(last, version) then return {'stale', last} end
  held = keptHeld
end

local missing, short, moves = nil, {'short'}, {}
local function move(product, n) -- n has to leave the stock; below zero it comes back
  if n == 0 then return end
  local stock = stockOf(product)
  local refusable = n > 0 and not taking
  if not stock then
    if refusable then missing = missing or product end
  elseif refusable and tonumber(stock) < n then
    short[#short + 1], short[#short + 2], short[#short + 3] = product, written(n), stock
  else
    moves[#moves + 1] = {product, written(-n)}
  end
end
for i = 6, lastWanted, 2 do
  local product = ARGV[i]
  move(product, wanted[product] - (held[product] or 0))
end
for product, n in pairs(held) do
  if not wanted[product] then move(product, -n) end
end

local refusal = nil
if missing then
  refusal = {'missing', missing}
elseif #short > 1 then
  refusal = short
end
if refusal then
  wanted = held
else
  for _, m in ipairs(moves) do
    -- A stock that would leave 64 bits, which is none of hangar's making, stays.
    local moved = redis.pcall('HINCRBY', 'products:' .. m[1], 'in_stock', m[2])
    if type(moved) == 'table' and not string.find(moved.err, 'overflow') then return moved end
  end
end
redis.call('HSET', KEYS[1], id, cmsgpack.pack(now, version, refusal, wanted))
return refusal or {}
