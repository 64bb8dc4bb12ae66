-- Take from quotas: so many messages a second of each, in bursts of so many (GCRA, ITU-T I.371).
--
-- KEYS  the strings of quotas: when each is used up again, ms of Redis
-- ARGV  1 messages a second   2 burst; then for each key: how many messages are wanted
-- Returns for each key how many of them it lets by, the first ones, and after how many ms the next
-- one would be.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local cost, burst = 1000 / ARGV[1], ARGV[2] * 1000 / ARGV[1]
local reply = {}
for i = 1, #KEYS do
  local wanted = tonumber(ARGV[i + 2])
  local full = tonumber(redis.call('GET', KEYS[i]) or 0)
  if full > now + burst + cost then
    full = 0 -- the clock was set back since
  end
  full = math.max(full, now)
  -- The sums are rounded: without the hundredth a whole burst may be one short.
  local taken = math.min(wanted, math.max(0, math.floor((now + burst - full) / cost + 0.01)))
  if taken > 0 then
    full = full + taken * cost
    redis.call('SET', KEYS[i], string.format('%.3f', full), 'PX', math.ceil(full - now))
  end
  reply[2 * i - 1] = taken
  reply[2 * i] = math.max(0, math.ceil(full + cost - burst - now))
end
return reply
