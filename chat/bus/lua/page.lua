-- A page of a room's history, at one moment.
--
-- KEYS  1 room hash   2 history stream
-- ARGV  1 after this seq   2 "" or before this one: then the last of them, else the first
--       3 at most so many entries, and so many removed places
-- Returns epoch, seq, entries, and removed places: seq, ts, seq, ts…; both backwards with a `before`.
--
-- Before this stands removed.lua.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'removed')
local after, before, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not known[1] then
  return {'', 0, {}, {}}
end
local least = '(' .. ARGV[1] .. '-0' -- as they came: Lua writes large numbers its own way
if before then
  local entries = redis.call('XREVRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', least, 'COUNT', most)
  return {known[1], tonumber(known[2] or 0), entries,
    removed_between(known[3], after, before, -most)}
end
local entries = redis.call('XRANGE', KEYS[2], least, '+', 'COUNT', most)
return {known[1], tonumber(known[2] or 0), entries,
  removed_between(known[3], after, math.huge, most)}
