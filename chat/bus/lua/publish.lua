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
-- Before this stands append.lua. What may fail comes before a message's place, and all else can be
-- done without. A room is not begun where the fanout stream is none; that is therefore asked first.
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

local function known_head(room, history)
  heads[room] = heads[room] or head_of(room, history, ARGV[6])
  return heads[room]
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
  local head = known_head(room, history)
  local seq = append(head, KEYS[1], name, entry, ARGV[2], ARGV[3])
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
    local why = why_of(problem)
    -- This is no server to publish on, which is told of the whole call: nothing of it was done.
    local wrong = why:match('READONLY') or why:match('MASTERDOWN')
    if wrong then
      return redis.error_reply(wrong .. ' ' .. why)
    end
    answer(why, 0, 0, 2)
  end
end
for _, head in pairs(heads) do
  keep(head, ARGV[4])
end
return reply
