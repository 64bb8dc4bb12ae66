-- Publish messages of one partition, atomically and in order.
--
-- KEYS  1 the fanout stream; then for each message: room hash, history stream, dup string
-- ARGV  1 Redis time in ms after which nothing may be done any more (0: no deadline)
--       2 history length   3 fanout length   4 seconds a room is kept   5 seconds a dup is kept
--       6 epoch for a room that has none   7 milliseconds, the time of publishing
--       then for each message: room name, entry, "1" when it has a dup key and "0" when not
-- Returns the Redis time in ms, then for each message "epoch", seq, ts, 1 when it was a duplicate;
-- the time alone when the deadline had passed: then nothing was done.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = {now}
local deadline = tonumber(ARGV[1])
if deadline > 0 and now > deadline then
  return reply
end

local heads = {}

local function publish(room, history, dup, name, entry, has_dup)
  local earlier = has_dup and redis.call('GET', dup)
  if earlier then
    local epoch, seq, ts = earlier:match('^(%S+) (%d+) (%d+)$')
    reply[#reply + 1] = epoch
    reply[#reply + 1] = tonumber(seq)
    reply[#reply + 1] = tonumber(ts)
    reply[#reply + 1] = 1
    return
  end
  local head = heads[room]
  if not head then
    local known = redis.call('HMGET', room, 'epoch', 'seq')
    head = {epoch = known[1], seq = tonumber(known[2] or 0), history = history}
    if not head.epoch then
      -- The room is new, or its state was lost: what is left of its history is another epoch's.
      head.epoch = ARGV[6]
      redis.call('DEL', history)
      redis.call('HSET', room, 'epoch', head.epoch)
    end
    heads[room] = head
  end
  local seq = head.seq + 1
  local place = head.epoch .. '-' .. seq
  redis.call('XADD', history, 'MAXLEN', ARGV[2], seq .. '-0', 'm', entry)
  head.seq = seq
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'r', name, 'p', place, 'm', entry)
  if has_dup then
    redis.call('SET', dup, head.epoch .. ' ' .. seq .. ' ' .. ARGV[7], 'EX', ARGV[5])
  end
  reply[#reply + 1] = head.epoch
  reply[#reply + 1] = seq
  reply[#reply + 1] = tonumber(ARGV[7])
  reply[#reply + 1] = 0
end

local function publish_all()
  for i = 2, #KEYS, 3 do
    local arg = 7 + (i - 2) + 1
    publish(KEYS[i], KEYS[i + 1], KEYS[i + 2], ARGV[arg], ARGV[arg + 1], ARGV[arg + 2] == '1')
  end
end

-- What fails in one room must not leave others with a history that is ahead of their seq.
local done, problem = pcall(publish_all)
for room, head in pairs(heads) do
  redis.call('HSET', room, 'seq', head.seq)
  redis.call('EXPIRE', room, ARGV[4])
  redis.call('EXPIRE', head.history, ARGV[4])
end
if not done then
  return redis.error_reply(type(problem) == 'table' and problem.err or problem)
end
return reply
