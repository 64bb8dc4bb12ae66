-- A room's position and history, and where its partition's stream stands, at one moment.
--
-- KEYS  1 room hash   2 history stream   3 fanout stream   4 the partition's life
--       5 when they are asked for: rules hash
-- ARGV  1 the newest N entries   2 when not empty, also all entries after this seq
--       3 the epoch that seq is of; when it is not the room's any more, all of this epoch
-- Returns epoch, seq, base, last ID of the fanout stream, entries oldest first, the rules' fields, of
--       the same places those that were removed: seq, ts, seq, ts…, its likes: "kind:total …", and
--       the life, "" where there is none
--
-- Before this stands removed.lua.
-- Nothing is written. A room that nobody has spoken in is not made by looking at it: it is at
-- seq 0 of the epoch "", and what is left of a history belongs to an epoch that is lost.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'base', 'removed', 'likes')
local epoch, seq, base = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local fanout_id = last[1] and last[1][1] or '0-0'
local life = redis.call('GET', KEYS[4]) or ''
local rules = KEYS[5] and redis.call('HGETALL', KEYS[5]) or {}
if not epoch then
  return {'', 0, 0, fanout_id, {}, rules, {}, known[5] or '', life}
end

local after = seq - tonumber(ARGV[1])
if ARGV[3] ~= '' and ARGV[3] ~= epoch then
  after = math.min(after, base)
elseif ARGV[2] ~= '' then
  after = math.min(after, tonumber(ARGV[2]))
end
local entries = redis.call('XRANGE', KEYS[2], '(' .. math.max(0, after) .. '-0', '+')
local removed = removed_between(known[4], after, seq, seq)
return {epoch, seq, base, fanout_id, entries, rules, removed, known[5] or '', life}
