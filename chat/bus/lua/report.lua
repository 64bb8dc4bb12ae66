-- Put a viewer's report of a message in the queue.
--
-- KEYS  1 the queue, a stream   2 hash of those whose report of this message is in it
-- ARGV  1 uid   2 report   3 reports kept   4 reports of one message   5 seconds the hash is kept
-- Returns 1 when it was put there, 0 when it was not needed: this viewer has reported the message, or
-- enough others have; and how many of the oldest reports had to go for it.
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) or redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return {0, 0}
end
local before = redis.call('XLEN', KEYS[1])
-- What may fail for want of memory comes first: a script that has written is given it.
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], '*', 'm', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], '')
redis.call('EXPIRE', KEYS[2], ARGV[5])
return {1, before + 1 - redis.call('XLEN', KEYS[1])}
