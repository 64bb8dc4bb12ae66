-- Publish messages of one or several partitions of a server, atomically and in order.
--
-- KEYS  for each message: fanout stream, room hash, history stream, dup string;
--       then for each message that needs one for its limits: the string of what its sender said
--       lately, or the rules of its room, where who sends it does not know them
-- ARGV  1 Redis time in ms after which nothing may be done any more (0: no deadline)
--       2 history length   3 fanout length   4 seconds a room is kept   5 seconds a dup is kept
--       6 epoch for a room that has none   7 milliseconds, the time of publishing   8 messages
--       then for each message: room name, entry, digest of its content ("" when it has no dup key);
--       then, if any are limited, how many kinds of limits there are, and for each: ms between two
--       messages of one sender, or -1 where the room's rules say how many a second there may be, ms
--       in which the same may not be said again, messages a second of the room (0: no limit; with -1,
--       where the rules say none), their priority: from 6 on they are not refused for that, but
--       count; up to 4 they are refused when half of the burst is used up; which they are (from 1),
--       with spaces between
--       then for each of the last KEYS: which message it is for, digest of its text, or ""
--       then, behind what limits have, for each message that is traced: which it is, its traceparent
-- Returns the Redis time in ms, then for each message four values: "epoch", seq, ts, and 0 when it was
-- published, 1 when it was a duplicate or 3 when its ID was another content's; its error, 0, 0, 2
-- when it was refused, of which nothing is left then; or "", the ms after which it may be sent, 0, and
-- 4 for slow mode, 5 for a repeated text, 6 for a busy room: then too nothing of it is left, and it
-- counts for no limit. The time alone when the deadline had passed: then nothing was done.
--
-- Before this stands append.lua. What may fail comes before a message's place, and all else can be
-- done without. A room is not begun where the fanout stream is none; that is therefore asked first.
local CHAT = 5 -- the priority of what people type
local TEXTS = 16 -- of one sender that are remembered: what one may push into memory is bounded
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = {now}
local deadline = tonumber(ARGV[1])
if deadline > 0 and now > deadline then
  return reply
end

local messages = tonumber(ARGV[8])
local limits = {}
local traces = {}
local full_at = {}
local heads = {}
local lengths = {}

-- Raises an error where a fanout stream is none.
local function look_at(fanout)
  local length = lengths[fanout] or redis.pcall('XLEN', fanout)
  lengths[fanout] = length
  if type(length) == 'table' then
    error(length)
  end
end

local function answer(epoch, seq, ts, outcome)
  local last = #reply
  reply[last + 1], reply[last + 2], reply[last + 3], reply[last + 4] = epoch, seq, ts, outcome
end

-- A room's epoch, seq and when its rate is used up, as they were before this call.
local states = {}
local function state_of(room)
  states[room] = states[room] or redis.call('HMGET', room, 'epoch', 'seq', 'full_at')
  return states[room]
end

local function known_head(room, history)
  heads[room] = heads[room] or head_of(room, history, ARGV[6], states[room])
  return heads[room]
end

-- The limits of rooms, which cost a call without any nothing. What refuses a message has noted nothing.
local judge, note
if #ARGV > 8 + 3 * messages then
  local at = clock[1] * 1000 + clock[2] / 1000
  local spoken, said = {}, {}
  -- What there is to note of the message that was judged last.
  local full_then, texts_then

  -- A time ahead of the clock was noted before the clock was set back: it means nothing.
  local function left(since, ms)
    return since <= now and math.max(0, since + ms - now) or 0
  end

  -- What is known of a sender: when it last spoke, and its texts that may not be said again.
  local function lately(key, unlike)
    local known = redis.call('GET', key) or ''
    local texts = {}
    for text, when in known:gmatch('(%x+):(%d+)') do
      local wait = left(tonumber(when), unlike)
      if wait > 0 then
        texts[#texts + 1] = {text, when, wait}
      end
    end
    return tonumber(known:match('^%d+') or 0), texts
  end

  -- Messages a second by a room's rules, which are looked at once a call.
  local ruled = {}
  local function per_s_of(rules, otherwise)
    if not ruled[rules] then
      local packed = redis.pcall('HGET', rules, 'settings')
      local read, settings = pcall(cmsgpack.unpack, packed)
      ruled[rules] = read and type(settings) == 'table' and tonumber(settings.messages_per_s) or 0
    end
    return ruled[rules] > 0 and ruled[rules] or otherwise
  end

  -- Whether its sender waits long enough and says something else: an outcome, and after how many ms
  -- it may be sent, or none.
  local function judge_sender(number, limit)
    local unlike = said[number] ~= '' and limit.unlike or 0
    if limit.slow <= 0 and unlike <= 0 then
      return
    end
    local last, texts = lately(spoken[number], unlike)
    local wait = left(last, limit.slow)
    if wait > 0 then
      return 4, wait
    end
    for _, known in ipairs(texts) do
      if known[1] == said[number] then
        return 5, known[3]
      end
    end
    texts_then = texts
  end

  -- GCRA with a burst of a second's messages, and a hundredth for what the sums are rounded.
  local function judge_rate(room, per_s, priority)
    local cost = 1000 / per_s
    local burst = cost > 1000 and cost or 1000
    local full = full_at[room] or tonumber(state_of(room)[3] or 0)
    if full < at or full > at + burst + cost then
      full = at
    end
    full = full + cost
    if priority > CHAT then
      full = math.min(full, at + burst) -- chat yields, and comes back as soon as there is less
    else
      local most = priority < CHAT and math.max(burst / 2, cost) or burst
      if full - at > most + cost / 100 then
        return 6, math.ceil(full - at - most)
      end
    end
    full_then = full
  end

  -- The outcome of a message that a limit refuses, and after how many ms it may be sent. Else what
  -- there is to note once it is published is known.
  function judge(number, room, limit)
    full_then, texts_then = nil, nil
    local per_s = limit.slow < 0 and per_s_of(spoken[number], limit.per_s) or limit.per_s
    if spoken[number] then
      local outcome, wait = judge_sender(number, limit)
      if outcome then
        return outcome, wait
      end
    end
    if per_s > 0 then
      return judge_rate(room, per_s, limit.priority)
    end
  end

  function note(number, room, limit)
    full_at[room] = full_then or full_at[room]
    if texts_then then
      local unlike = said[number] ~= '' and limit.unlike or 0
      local known = {limit.slow > 0 and now or 0}
      if unlike > 0 then
        known[2] = said[number] .. ':' .. now
        for i = 1, math.min(#texts_then, TEXTS - 1) do
          known[i + 2] = texts_then[i][1] .. ':' .. texts_then[i][2]
        end
      end
      local ms = math.max(limit.slow, unlike)
      redis.pcall('SET', spoken[number], table.concat(known, ' '), 'PX', ms)
    end
  end

  local arg = 9 + 3 * messages
  for _ = 1, tonumber(ARGV[arg]) do
    local limit = {
      slow = tonumber(ARGV[arg + 1]), unlike = tonumber(ARGV[arg + 2]),
      per_s = tonumber(ARGV[arg + 3]), priority = tonumber(ARGV[arg + 4]),
    }
    for number in ARGV[arg + 5]:gmatch('%d+') do
      limits[tonumber(number)] = limit
    end
    arg = arg + 5
  end
  for key = 4 * messages + 1, #KEYS do
    local number = tonumber(ARGV[arg + 1])
    spoken[number], said[number] = KEYS[key], ARGV[arg + 2]
    arg = arg + 2
  end
  while ARGV[arg + 1] do
    traces[tonumber(ARGV[arg + 1])] = ARGV[arg + 2]
    arg = arg + 2
  end
end

local function publish(number, fanout, room, history, dup, name, entry, digest, limit)
  local earlier = digest ~= '' and redis.call('GET', dup)
  if earlier then
    local epoch, seq, ts, of = earlier:match('^(%S+) (%d+) (%d+) (%S+)$')
    return answer(epoch, tonumber(seq), tonumber(ts), of == digest and 1 or 3)
  end
  look_at(fanout)
  if limit then
    local outcome, wait = judge(number, room, limit)
    if outcome then
      return answer('', wait, 0, outcome)
    end
  end
  local head = known_head(room, history)
  local seq
  if traces[number] then
    seq = append(head, fanout, name, entry, ARGV[2], ARGV[3], 't', traces[number])
  else
    seq = append(head, fanout, name, entry, ARGV[2], ARGV[3])
  end
  if digest ~= '' then
    local record = table.concat({head.epoch, seq, ARGV[7], digest}, ' ')
    redis.pcall('SET', dup, record, 'EX', ARGV[5])
  end
  if limit then
    note(number, room, limit)
  end
  answer(head.epoch, seq, tonumber(ARGV[7]), 0)
end

for number = 1, messages do
  local i = 4 * number - 3
  local arg = 3 * number + 6
  local done, problem = pcall(publish, number, KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3],
    ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], limits[number])
  if not done then
    local why = why_of(problem)
    -- This is no server to publish on, which is told of the whole call: nothing of it was done.
    local wrong = why:match('READONLY') or why:match('MASTERDOWN')
    if wrong then
      return redis.error_reply(wrong .. ' ' .. why)
    end
    answer(why, 0, 0, 2)
  end
end
for room, head in pairs(heads) do
  if full_at[room] then
    keep(head, ARGV[4], 'full_at', string.format('%.3f', full_at[room]))
  else
    keep(head, ARGV[4])
  end
end
return reply
