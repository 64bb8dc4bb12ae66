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
-- Rules that pinned such a message go with it: they have its text, and what holds now is said anew.
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

-- The message that rules say is pinned, which they have in full, and their ts. Nil for any other
-- entry, by its first bytes: of a history few are rules.
local function pinned(entry)
  if entry:sub(2, 3) ~= '\161s' then
    return nil
  end
  local readable, fields = pcall(cmsgpack.unpack, entry)
  local state = readable and type(fields) == 'table' and fields[2]
  local message = type(state) == 'table' and state.pinned
  return type(message) == 'table' and message or nil, readable and fields[3]
end

local function is_meant(seq, uid)
  if target then
    return seq == target
  end
  return whose == '' or uid == whose
end

-- Of one message those after it are looked at, too: rules that pin it stand there.
local going, messages = {}, 0
local from = target and target .. '-0' or '-'
repeat
  local read = redis.call('XRANGE', KEYS[3], from, '+', 'COUNT', READ)
  for _, one in ipairs(read) do
    local id, values = one[1], one[2]
    local seq = tonumber(id:match('^%d+'))
    local fields = (not target or seq == target) and said(values[2])
    local message, ts = pinned(values[2])
    if fields and is_meant(seq, fields[2]) then
      going[#going + 1] = {id = id, seq = seq, ts = tonumber(fields[8]) or 0, sent = values[4]}
      messages = messages + 1
    elseif seq == target then
      return {OTHER, epoch, 0, 0}
    elseif message and is_meant(message.seq, message.uid) then
      going[#going + 1] = {id = id, seq = seq, ts = tonumber(ts) or 0, sent = values[4]}
    end
    from = '(' .. id
  end
until #read < READ

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
return {DONE, epoch, head.seq, messages}
