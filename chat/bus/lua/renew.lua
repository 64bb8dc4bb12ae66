-- Begin a new epoch of a room whose count was set back: numbers beyond its seq had been given out.
--
-- Counting goes on, so what history there is stays under its IDs; `base` says where the epoch begins.
-- The epoch alone tells whether another shard was first: once numbers were given out twice, it does
-- not help that the count has passed them again.
--
-- KEYS  1 room hash
-- ARGV  1 the epoch that was set back   2 a new one
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'base', redis.call('HGET', KEYS[1], 'seq') or 0)
return 1
