-- A room's position and history, and where its partition's stream stands, at one moment.
--
-- KEYS  1 room hash   2 history stream   3 fanout stream
-- ARGV  1 epoch for a room that has none   2 seconds a room is kept
--       3 the newest N entries   4 or, when not empty, all entries after this seq
-- Returns epoch, seq, last ID of the fanout stream, entries oldest first.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local epoch, seq = known[1], tonumber(known[2] or 0)
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', 0)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end

local entries
if ARGV[4] ~= '' then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[4] .. '-0', '+')
else
  local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[3])
  entries = {}
  for i = #newest, 1, -1 do
    entries[#entries + 1] = newest[i]
  end
end

local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return {epoch, seq, last[1] and last[1][1] or '0-0', entries}
