-- Read a stream for a group: what was given out and not done, else what is new.
--
-- KEYS  1 the unit's state, a hash   2 the stream
-- ARGV  1 worker   2 group   3 most entries
--       4 where a group begins that is not there: "all", or ms before now
-- Returns nothing when the unit is not leased to this worker; else how many entries the group has been
-- given since the stream began, how many it has not (-1: not known), the ID of its last; of what was
-- trimmed before it was given how many entries (-1: not known), behind which ID and before which;
-- and the entries.
--
-- Before this stands groups.lua. All workers of a group are one consumer: a unit has one of them at a
-- time, so what a dead one was given and has not done is simply there for the next.
local CONSUMER = 'worker'
local group = ARGV[2]
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return {}
end

local known = group_of(KEYS[2], group)
if not known then
  redis.call('XGROUP', 'CREATE', KEYS[2], group, '0-0', 'MKSTREAM')
  -- How many came before is told where it is known, or Redis would not count on from there.
  local there = fields_of(redis.call('XINFO', 'STREAM', KEYS[2]))
  local added, last = there['entries-added'], there['last-generated-id']
  local first, behind = '0-0', added and added - there.length
  if ARGV[4] ~= 'all' then
    local clock = redis.call('TIME')
    first = string.format('%d-0', clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[4])
    local earlier = redis.call('XREVRANGE', KEYS[2], '(' .. first, '-', 'COUNT', 1)[1]
    if before(last, first) then
      first, behind = last, added
    elseif earlier then
      first, behind = earlier[1], nil
    else
      first = '0-0'
    end
  end
  if behind then
    redis.call('XGROUP', 'SETID', KEYS[2], group, first, 'ENTRIESREAD', behind)
  else
    redis.call('XGROUP', 'SETID', KEYS[2], group, first)
  end
  known = group_of(KEYS[2], group)
end
local stream = fields_of(redis.call('XINFO', 'STREAM', KEYS[2]))
local oldest = stream['first-entry'] and stream['first-entry'][1]
local added, given = stream['entries-added'], known['entries-read']
local last = known['last-delivered-id']

-- What is lost is noted until somebody has said so.
local function lost(count, from)
  local earlier = redis.call('HGET', KEYS[1], 'lost:' .. KEYS[2])
  if earlier then
    local sum, since = earlier:match('^(%S+) (%S+)')
    count = (count < 0 or tonumber(sum) < 0) and -1 or count + tonumber(sum)
    from = since
  end
  local upto = oldest or stream['last-generated-id']
  redis.call('HSET', KEYS[1], 'lost:' .. KEYS[2], table.concat({count, from, upto}, ' '))
end

local function read(from)
  local found = redis.call(
    'XREADGROUP', 'GROUP', group, CONSUMER, 'COUNT', ARGV[3], 'STREAMS', KEYS[2], from)
  return found and found[1][2] or {}
end

local entries, from = {}, '0-0'
repeat
  local pending = read(from)
  local gone = 0
  for _, one in ipairs(pending) do
    from = one[1]
    if one[2] then
      entries[#entries + 1] = one
    else
      -- It was given out once, and nobody knows what became of it; or it was taken back since.
      redis.call('XACK', KEYS[2], group, one[1])
      if not oldest or before(one[1], oldest) then
        gone = gone + 1
      end
    end
  end
  if gone > 0 then
    lost(gone, pending[1][1])
  end
until #entries > 0 or #pending == 0

if #entries == 0 then
  if added and before(last, oldest or stream['last-generated-id']) then
    local trimmed = given and added - stream.length - given
    if trimmed and trimmed > 0 then
      lost(trimmed, last)
    elseif not trimmed and last ~= '0-0' then
      lost(-1, last)
    end
  end
  entries = read('>')
  known = group_of(KEYS[2], group)
  given, last = known['entries-read'], known['last-delivered-id']
end

local told = {0, '', ''}
local noted = redis.call('HGET', KEYS[1], 'lost:' .. KEYS[2])
if noted then
  local count, since, upto = noted:match('^(%S+) (%S+) (%S+)$')
  told = {tonumber(count), since, upto}
end
return {given or -1, (added and given) and added - given or -1, last, told[1], told[2], told[3], entries}
