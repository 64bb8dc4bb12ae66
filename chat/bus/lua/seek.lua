-- Give a group again what of a stream comes after an ID.
--
-- KEYS  1 the unit's state, a hash   2 the stream
-- ARGV  1 worker   2 group   3 the ID, of what is done   4 entries given up to there, -1 if not known
-- Returns 0 when the unit is not leased to this worker, 1 when the group was there already, 2 when it
-- was set there, and 3 when stream or group end before that ID, having been set back: then it goes on
-- from where it was.
--
-- Before this stands groups.lua.
local READ = 1000
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
local info = redis.pcall('XINFO', 'STREAM', KEYS[2])
if info.err then
  return 3
end
if before(fields_of(info)['last-generated-id'], ARGV[3]) then
  return 3
end
local known = group_of(KEYS[2], ARGV[2])
if known then
  local last = known['last-delivered-id']
  if before(last, ARGV[3]) then
    return 3
  end
  local done
  repeat
    done = redis.call('XPENDING', KEYS[2], ARGV[2], '-', ARGV[3], READ)
    for _, one in ipairs(done) do
      redis.call('XACK', KEYS[2], ARGV[2], one[1])
    end
  until #done < READ
  if last == ARGV[3] then
    return 1
  end
  -- It was given more. If the next entry is among what is not done, so is all behind it.
  local pending = redis.call('XPENDING', KEYS[2], ARGV[2], '-', '+', 1)[1]
  local next = redis.call('XRANGE', KEYS[2], '(' .. ARGV[3], '+', 'COUNT', 1)[1]
  if pending and not (next and before(next[1], pending[1])) then
    return 1
  end
  redis.call('XGROUP', 'DESTROY', KEYS[2], ARGV[2])
end
if ARGV[4] == '-1' then
  redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[2], ARGV[3])
else
  redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[2], ARGV[3], 'ENTRIESREAD', ARGV[4])
end
return 2
