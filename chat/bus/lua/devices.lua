-- Which connection each of some users has, where there may be only one; those of one partition.
--
-- KEYS  for each user: a string, the name of the connection that has it, and since when at the earliest
-- ARGV  1 seconds until a connection that is not kept has lost it
--       then for each user: what is asked, the name of who asks, since when it is the user's, at the
--       earliest, by Redis' time in ms, and for how many ms it was when it asked
--         take  to have it, unless one that is surely newer has
--         keep  to have it, if nobody else has
--         free  not to have it
-- Returns the Redis time in ms, then for each user two values: the name of another connection that
-- had it or has it, "" for none, and 1 where it has it still.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = {now}
for i, key in ipairs(KEYS) do
  local asked, conn, since, for_ms = unpack(ARGV, 4 * i - 2, 4 * i + 1)
  local known = redis.call('GET', key) or ''
  local holder = known:match('^%S*')
  local other = holder ~= conn and holder or ''
  -- A question takes its time to come here, so who asks came before this, and not a moment later. A
  -- time ahead of the clock was noted before the clock was set back: it means nothing.
  local theirs = tonumber(known:match(' (%d+)$') or 0)
  local newer = theirs > now - for_ms and theirs <= now
  local has = other ~= '' and (asked ~= 'take' or newer)
  if asked == 'free' then
    if holder == conn then
      redis.call('DEL', key)
    end
  elseif not has then
    redis.call('SET', key, conn .. ' ' .. since, 'EX', ARGV[1])
  end
  reply[2 * i], reply[2 * i + 1] = other, has and 1 or 0
end
return reply
