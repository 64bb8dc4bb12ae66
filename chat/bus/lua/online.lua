-- Report one shard's viewers of rooms of one partition; learn how many there are on all shards.
--
-- KEYS  1 top zset   2 seen zset   3 stream of what happens to rooms; then for each room: online hash,
--       room hash, history stream, crowd hash, HyperLogLog of its users
-- ARGV  1 shard   2 ms after which a silent shard does not count   3 seconds a room is kept
--       4 length of that stream, 0 where nobody follows it; then for each room: name, count, how many
--       users have come, and they
-- Returns the sum for each room.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local followed = tonumber(ARGV[4]) > 0
local sums = {}
local AT_ONCE = 1000 -- what may stand in a call is bounded

-- Say that a room has viewers, or has none any more.
local function happened(what, name)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'e', what, 'r', name)
end

local arg = 5
for i = 4, #KEYS, 5 do
  local name, count, came = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  if count > 0 then
    redis.call('HSET', KEYS[i], ARGV[1], count .. ' ' .. now)
  else
    redis.call('HDEL', KEYS[i], ARGV[1])
  end
  local sum = 0
  local all = redis.call('HGETALL', KEYS[i])
  for j = 1, #all, 2 do
    local viewers, at = all[j + 1]:match('^(%d+) (%d+)$')
    if now - tonumber(at) > tonumber(ARGV[2]) then
      redis.call('HDEL', KEYS[i], all[j])
    else
      sum = sum + tonumber(viewers)
    end
  end
  local had = followed and redis.call('ZSCORE', KEYS[1], name)
  if followed and (sum > 0) ~= (had and true or false) then
    happened(sum > 0 and 'occupied' or 'vacated', name)
  end
  if sum > 0 then
    redis.call('ZADD', KEYS[1], sum, name)
    redis.call('ZADD', KEYS[2], now, name)
    redis.call('PEXPIRE', KEYS[i], 2 * ARGV[2])
    if sum > tonumber(redis.call('HGET', KEYS[i + 3], 'peak') or 0) then
      redis.call('HSET', KEYS[i + 3], 'peak', sum, 'peak_at', now)
    end
  else
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  end
  local last = arg + 2 + came
  for first = arg + 3, last, AT_ONCE do
    redis.call('PFADD', KEYS[i + 4], unpack(ARGV, first, math.min(first + AT_ONCE - 1, last)))
  end
  if sum > 0 or came > 0 then
    -- A room that is watched is kept, however silent; of one that nobody spoke in nothing stays.
    local spoken = redis.call('EXPIRE', KEYS[i + 1], ARGV[3]) == 1
    redis.call('EXPIRE', KEYS[i + 2], ARGV[3])
    local kept = spoken and ARGV[3] * 1000 or 2 * ARGV[2]
    redis.call('PEXPIRE', KEYS[i + 3], kept)
    redis.call('PEXPIRE', KEYS[i + 4], kept)
  end
  sums[#sums + 1] = sum
  arg = last + 1
end
-- Rooms that only a dead shard had: nobody else reports that they are empty.
local silent = redis.call(
  'ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. (now - ARGV[2]), 'LIMIT', 0, 100)
if #silent > 0 then
  for _, name in ipairs(followed and silent or {}) do
    happened('vacated', name)
  end
  redis.call('ZREM', KEYS[1], unpack(silent))
  redis.call('ZREM', KEYS[2], unpack(silent))
end
-- Where it is followed, each room leaves by itself, or nobody would be told.
for i = 1, 2 do
  if followed then
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('PEXPIRE', KEYS[i], 2 * ARGV[2])
  end
end
return sums
