-- Take messages of a room back: remove what was said, keep its place, and say so, atomically.
--
-- KEYS  1 the fanout stream   2 room hash   3 history stream
-- ARGV  1 history length   2 fanout length   3 seconds a room is kept   4 room name
--       5 the entry that says so   6 "" or the epoch that is meant
--       7 the seq of one message, or "" for all   8 of those, "" or whose
-- Returns what came of it, epoch, the entry's seq, and how many messages were removed. What came:
--       0 done   1 the message was gone already: nothing more is said   2 no such seq was ever given
--       out   3 what stands there is no message
--
-- Before this stand append.lua and removed.lua. A message that has left the history is only said to
-- be taken back, for those who still show it.
local READ = 1000
local DONE, GONE, NEVER, OTHER = 0, 1, 2, 3
local target, whose = tonumber(ARGV[7]), ARGV[8]

local known = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'removed')
local epoch, removed = known[1], removed_of(known[3])
local head = {epoch = epoch, seq = tonumber(known[2] or 0), room = KEYS[2], history = KEYS[3]}
if not epoch then
  return {target and NEVER or GONE, '', 0, 0}
end
if ARGV[6] ~= '' and ARGV[6] ~= epoch then
  return {GONE, epoch, 0, 0}
end
if target and target > head.seq then
  return {NEVER, epoch, 0, 0}
end
for i = 1, target and #removed or 0, 2 do
  if removed[i] == target then
    return {GONE, epoch, 0, 0}
  end
end

-- A message's fields: m, uid, name, text, color, mode, size, ts. Nil for any other entry.
local function said(entry)
  local readable, fields = pcall(cmsgpack.unpack, entry)
  return readable and type(fields) == 'table' and fields[1] == 'm' and fields or nil
end

local going = {}
local from, to = '-', '+'
if target then
  from, to = target .. '-0', target .. '-0'
end
repeat
  local read = redis.call('XRANGE', KEYS[3], from, to, 'COUNT', READ)
  for _, one in ipairs(read) do
    local id, values = one[1], one[2]
    local fields = said(values[2])
    if fields and (target or whose == '' or fields[2] == whose) then
      going[#going + 1] = {id = id, seq = tonumber(id:match('^%d+')), ts = tonumber(fields[8]) or 0,
        sent = values[4]}
    elseif target then
      return {OTHER, epoch, 0, 0}
    end
    from = '(' .. id
  end
until target or #read < READ

local done, problem = pcall(append, head, KEYS[1], ARGV[4], ARGV[5], ARGV[1], ARGV[2])
if not done then
  return redis.error_reply(why_of(problem))
end

local oldest = head.seq - tonumber(ARGV[1])
local places = {}
for i = 1, #removed, 2 do
  places[#places + 1] = {seq = removed[i], ts = removed[i + 1]}
end
for _, one in ipairs(going) do
  redis.call('XDEL', KEYS[3], one.id)
  if one.sent then
    redis.call('XDEL', KEYS[1], one.sent)
  end
  places[#places + 1] = one
end
table.sort(places, function(a, b) return a.seq < b.seq end)
local packed = {}
for _, place in ipairs(places) do
  if place.seq > oldest then
    packed[#packed + 1] = place.seq
    packed[#packed + 1] = place.ts
  end
end
if #going > 0 then
  redis.call('HSET', KEYS[2], 'removed', cmsgpack.pack(packed))
end
keep(head, ARGV[3])
return {DONE, epoch, head.seq, #going}
