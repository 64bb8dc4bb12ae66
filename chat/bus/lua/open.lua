-- A room's position and history, and where its partition's stream stands, at one moment.
--
-- KEYS  1 room hash   2 history stream   3 fanout stream
-- ARGV  1 epoch for a room that has none   2 seconds a room is kept
--       3 the newest N entries   4 when not empty, also all entries after this seq
--       5 the epoch that seq is of; when it is not the room's any more, all of this epoch
-- Returns epoch, seq, base, last ID of the fanout stream, entries oldest first.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'base')
local epoch, seq, base = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', 0)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end

local after = seq - tonumber(ARGV[3])
if ARGV[5] ~= '' and ARGV[5] ~= epoch then
  after = math.min(after, base)
elseif ARGV[4] ~= '' then
  after = math.min(after, tonumber(ARGV[4]))
end
local entries = redis.call('XRANGE', KEYS[2], '(' .. math.max(0, after) .. '-0', '+')

local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return {epoch, seq, base, last[1] and last[1][1] or '0-0', entries}
