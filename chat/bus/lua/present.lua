-- Say that a worker of a group lives, or that it leaves.
--
-- KEYS  1 the group's workers, a zset   ARGV  1 worker   2 ms for which it is believed, 0: it leaves
-- Returns how many live.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], math.max(1000, 2 * tonumber(ARGV[2])))
return redis.call('ZCARD', KEYS[1])
