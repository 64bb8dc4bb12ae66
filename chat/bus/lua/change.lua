-- Change rules of a room, or of everywhere, and tell all shards, at one moment.
--
-- KEYS  1 rules hash   2 the stream that tells of it; with a state: 3 room hash, 4 history stream
-- ARGV  1 the version they must have ("" any)   2 how many fields there may be
--       3 the entry that tells of it   4 length of the stream   5 the room, "" for everywhere
--       6 a state for the room's viewers, "" for none   7 epoch for a room that has none
--       8 history length   9 seconds a room is kept
--       10 "1": only those fields are set that are not there   11 how many fields are set; then these,
--       each with its value; then those that are taken out
-- Returns 0, the new version, and the state's epoch and seq; or 1 and the version they have, which is
-- another; or 2 and how many fields there are, which is too many. Then nothing was done.
--
-- Before this stands append.lua. A version is one more than the one before: who misses a change sees
-- it at the next. The first is the time (ms since 1970), which is kept as base: rules that are made
-- anew after they were lost have another. What may fail comes before the first write, which is refused
-- where memory is short; later ones are not.
local known = redis.call('HMGET', KEYS[1], 'v', 'base')
local version = tonumber(known[1] or 0)
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= version then
  return {1, version, '', 0}
end

local set, new, last = {}, 0, 10 + 2 * tonumber(ARGV[11])
for i = 12, last, 2 do
  local there = redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1
  new = there and new or new + 1
  if not (there and ARGV[10] == '1') then
    set[#set + 1] = i
  end
end
local fields = redis.call('HLEN', KEYS[1]) - (known[1] and 1 or 0) - (known[2] and 1 or 0)
if new > 0 and fields + new > tonumber(ARGV[2]) then
  return {2, fields, '', 0}
end
if ARGV[10] == '1' and new == 0 then
  return {0, version, '', 0}
end
redis.call('XLEN', KEYS[2])
local head
if ARGV[6] ~= '' then
  redis.call('XLEN', KEYS[4])
  head = head_of(KEYS[3], KEYS[4], ARGV[7])
end

local base = known[2] or 0
if version == 0 then
  local clock = redis.call('TIME')
  version = clock[1] * 1000 + math.floor(clock[2] / 1000)
  base = version
  redis.call('HSET', KEYS[1], 'base', base)
else
  version = version + 1
end
redis.call('HSET', KEYS[1], 'v', version)
for _, i in ipairs(set) do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = last + 2, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
end
if ARGV[5] == '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'm', ARGV[3], 'v', base .. '-' .. version)
else
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*',
    'r', ARGV[5], 'p', '', 'm', ARGV[3], 'v', base .. '-' .. version)
end
if not head then
  return {0, version, '', 0}
end
-- After that: who joins in between is told the new state twice, not the old one for good.
append(head, KEYS[2], ARGV[5], ARGV[6], ARGV[8], ARGV[4])
keep(head, ARGV[9])
return {0, version, head.epoch, head.seq}
