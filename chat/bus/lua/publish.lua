-- Publish messages of one partition, atomically and in order.
--
-- KEYS  1 the fanout stream; then for each message: room hash, history stream, dup string
-- ARGV  1 Redis time in ms after which nothing may be done any more (0: no deadline)
--       2 history length   3 fanout length   4 seconds a room is kept   5 seconds a dup is kept
--       6 epoch for a room that has none   7 milliseconds, the time of publishing
--       then for each message: room name, entry, digest of its content ("" when it has no dup key)
-- Returns the Redis time in ms, then for each message four values: "epoch", seq, ts, and 0 when it was
-- published, 1 when it was a duplicate or 3 when its ID was another content's; or its error, 0, 0, 2
-- when it was refused, of which nothing is left then. The time alone when the deadline had passed: then nothing was done.
--
-- A message is published by its entry in the fanout stream. What may fail comes before that, and all
-- else can be done without. An ID cannot be given back, so a number is spent even if the fanout
-- stream takes no entry; whether it is one is therefore asked first.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = {now}
local deadline = tonumber(ARGV[1])
if deadline > 0 and now > deadline then
  return reply
end

local heads = {}
local fanout = redis.pcall('XLEN', KEYS[1])

local function answer(epoch, seq, ts, outcome)
  local last = #reply
  reply[last + 1], reply[last + 2], reply[last + 3], reply[last + 4] = epoch, seq, ts, outcome
end

local function head_of(room, history)
  local head = heads[room]
  if not head then
    local known = redis.call('HMGET', room, 'epoch', 'seq')
    head = {epoch = known[1], seq = tonumber(known[2] or 0), history = history}
    if not head.epoch then
      -- The room is new, or its state was lost: what is left of its history is another epoch's.
      -- Memory is asked for before anything is removed: a script that has written is given it.
      head.epoch = ARGV[6]
      redis.call('HSET', room, 'epoch', head.epoch)
      redis.call('DEL', history)
    end
    heads[room] = head
  end
  return head
end

local function publish(room, history, dup, name, entry, digest)
  local earlier = digest ~= '' and redis.call('GET', dup)
  if earlier then
    local epoch, seq, ts, of = earlier:match('^(%S+) (%d+) (%d+) (%S+)$')
    return answer(epoch, tonumber(seq), tonumber(ts), of == digest and 1 or 3)
  end
  if type(fanout) == 'table' then
    error(fanout)
  end
  local head = head_of(room, history)
  local seq = head.seq + 1
  redis.call('XADD', history, 'MAXLEN', ARGV[2], seq .. '-0', 'm', entry)
  head.seq = seq
  local sent = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*',
    'r', name, 'p', head.epoch .. '-' .. seq, 'm', entry)
  if type(sent) == 'table' then
    redis.call('XDEL', history, seq .. '-0')
    error(sent)
  end
  if digest ~= '' then
    local record = table.concat({head.epoch, seq, ARGV[7], digest}, ' ')
    redis.pcall('SET', dup, record, 'EX', ARGV[5])
  end
  answer(head.epoch, seq, tonumber(ARGV[7]), 0)
end

for i = 2, #KEYS, 3 do
  local arg = 7 + (i - 2) + 1
  local done, problem = pcall(
    publish, KEYS[i], KEYS[i + 1], KEYS[i + 2], ARGV[arg], ARGV[arg + 1], ARGV[arg + 2])
  if not done then
    local why = type(problem) == 'table' and problem.err or problem
    -- This is no server to publish on, which is told of the whole call: nothing of it was done.
    local wrong = why:match('READONLY') or why:match('MASTERDOWN')
    if wrong then
      return redis.error_reply(wrong .. ' ' .. why)
    end
    answer(why, 0, 0, 2)
  end
end
for room, head in pairs(heads) do
  redis.pcall('HSET', room, 'seq', head.seq)
  redis.pcall('EXPIRE', room, ARGV[4])
  redis.pcall('EXPIRE', head.history, ARGV[4])
end
return reply
