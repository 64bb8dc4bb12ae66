-- What a group was given of a stream is done, and what was lost has been said.
--
-- KEYS  1 the unit's state, a hash   2 the stream
-- ARGV  1 worker   2 group   3 1 if it has said what was lost, as it stands there   then IDs
-- Returns 1; or 0 when the unit is not leased to this worker: then nothing was done.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
if ARGV[3] == '1' then
  redis.call('HDEL', KEYS[1], 'lost:' .. KEYS[2])
end
if #ARGV > 3 then
  redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 4))
end
return 1
