-- KEYS, of all scripts of the index: the index, its note, the holds.
-- others returns how many keys of the database are neither in the index nor
-- hangar's own, less those that are in the index and do not exist. As long as
-- only hangar writes, that never changes.
local function others()
  return redis.call('DBSIZE') - redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3]) - redis.call('ZCARD', KEYS[1])
end
