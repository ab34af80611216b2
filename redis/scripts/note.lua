-- ARGV: what others must be if nobody but hangar wrote while the index was
-- brought up to date. If it is not, the note is what it never can be.
if others() == tonumber(ARGV[1]) then
  redis.call('SET', KEYS[2], ARGV[1])
else
  redis.call('SET', KEYS[2], 'unknown')
end
return 1
