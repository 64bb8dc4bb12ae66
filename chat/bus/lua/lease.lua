-- Lease a unit of a group to one worker, or give it back.
--
-- KEYS  1 the unit's state, a hash
-- ARGV  1 worker   2 milliseconds, 0 to give it back   3 by what it works
-- Returns 0 when it is another's, 1 when it was this worker's already, 2 when it was not; and by what
-- whoever had it before worked, "" for nobody.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'owner', 'until', 'by')
local ours = known[1] == ARGV[1]
if known[1] and not ours and tonumber(known[2]) > now then
  return {0, ''}
end
if ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', now + tonumber(ARGV[2]), 'by', ARGV[3])
elseif ours then
  redis.call('HDEL', KEYS[1], 'owner', 'until')
end
return {ours and 1 or 2, known[3] or ''}
