-- Count likes of rooms of one partition, and tell all shards of the sums.
--
-- KEYS  1 the number of what this shard had counted last   2 fanout stream; then for each room its hash
-- ARGV  1 a number for this call, the same when it is made again because its answer was lost
--       2 seconds that number is remembered   3 length of the stream   4 seconds a room is kept
--       5 how many kinds a room may have   6 ms between two times that shards are told of a room; then
--       for each room its name, and what is to be counted: "kind:count …"
-- Returns how many likes were not counted, because their room has other kinds enough or its hash is
-- none; and the names of rooms that shards could not be told of yet: ask again, with nothing to count.
--
-- What may fail for want of memory, or on a server that may not write, comes first: it has left nothing.
local MOST = 2 ^ 53 - 1 -- what a client can count to
local known = redis.call('GET', KEYS[1]) == ARGV[1]
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lost, later = 0, {}

local function read(text)
  local counts, kinds = {}, 0
  for kind, count in text:gmatch('(%S+):(%d+)') do
    counts[kind] = tonumber(count)
    kinds = kinds + 1
  end
  return counts, kinds
end

local function write(counts)
  local parts = {}
  for kind, count in pairs(counts) do
    parts[#parts + 1] = kind .. ':' .. string.format('%.0f', count)
  end
  table.sort(parts)
  return table.concat(parts, ' ')
end

-- Whether shards are yet to be told of this room.
local function count_in(room, name, given)
  local was = redis.call('HMGET', room, 'likes', 'liked')
  local totals, kinds = read(was[1] or '')
  local told, changed = (was[2] or '0:0'):match('^(%d+):(%d)$')
  told, changed = tonumber(told), changed == '1'
  for kind, count in pairs(known and {} or read(given)) do
    if totals[kind] or kinds < tonumber(ARGV[5]) then
      kinds = totals[kind] and kinds or kinds + 1
      totals[kind] = math.min(MOST, (totals[kind] or 0) + count)
      changed = true
    else
      lost = lost + count
    end
  end
  if not changed then
    return false
  end
  -- A time ahead of the clock was noted before the clock was set back.
  local waits = told <= now and now - told < tonumber(ARGV[6])
  if not waits then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*',
      'r', name, 'p', '', 'm', cmsgpack.pack({'l', totals}))
  end
  redis.call('HSET', room, 'likes', write(totals), 'liked', (waits and told or now) .. (waits and ':1' or ':0'))
  if redis.call('TTL', room) < 0 then
    redis.call('EXPIRE', room, ARGV[4])
  end
  return waits
end

for i = 3, #KEYS do
  local arg = 2 * i + 1
  local done, waits = pcall(count_in, KEYS[i], ARGV[arg], ARGV[arg + 1])
  if done and waits then
    later[#later + 1] = ARGV[arg]
  elseif not done and not known then
    for _, count in pairs(read(ARGV[arg + 1])) do
      lost = lost + count
    end
  end
end
return {lost, later}
