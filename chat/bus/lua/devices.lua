-- Which connection each of some users has, where there may be only one; those of one partition.
--
-- KEYS  for each user: a string, the name of the connection that has it
-- ARGV  1 seconds until a connection that is not kept has lost it
--       then for each user: what is asked, and the name of who asks
--         take  to have it, whoever had it    keep  to have it, if nobody else has    free  not to
-- Returns for each user the name of another connection: who had it, or has it; "" for none.
local reply = {}
for i, key in ipairs(KEYS) do
  local asked, conn = ARGV[2 * i], ARGV[2 * i + 1]
  local holder = redis.call('GET', key)
  local other = holder and holder ~= conn and holder or ''
  if asked == 'free' then
    if holder == conn then
      redis.call('DEL', key)
    end
  elseif asked == 'take' or other == '' then
    redis.call('SET', key, conn, 'EX', ARGV[1])
  end
  reply[i] = other
end
return reply
