-- How an entry takes its place in a room: the one piece that gives out numbers. It stands before the
-- scripts that need it.
--
-- An entry is published by standing in the fanout stream. That comes first: what fails there has left
-- nothing, and a script that has written is given the memory for the rest. The history names the
-- entry there, `f`, so that it can be found again without a search.

-- A room's epoch and seq; `fresh` is the epoch of one that has none, `known` both as they are, where
-- somebody has asked.
local function head_of(room, history, fresh, known)
  known = known or redis.call('HMGET', room, 'epoch', 'seq')
  local head = {epoch = known[1], seq = tonumber(known[2] or 0), room = room, history = history}
  if not head.epoch then
    -- The room is new, or its state was lost: what is left of its history is another epoch's.
    -- Memory is asked for before anything is removed: a script that has written is given it.
    head.epoch = fresh
    redis.call('HSET', room, 'epoch', head.epoch)
    redis.call('DEL', history)
  end
  return head
end

-- Give an entry the next seq. Raises an error when Redis does not take it; then nothing is left.
-- Behind the arguments may be more fields and values for the fanout stream, which no history has.
local function append(head, fanout, name, entry, kept, fanout_kept, ...)
  local seq = head.seq + 1
  local sent = redis.call('XADD', fanout, 'MAXLEN', '~', fanout_kept, '*',
    'r', name, 'p', head.epoch .. '-' .. seq, 'm', entry, ...)
  local done = redis.pcall('XADD', head.history, 'MAXLEN', kept, seq .. '-0',
    'm', entry, 'f', sent)
  if type(done) == 'table' then
    redis.call('XDEL', fanout, sent)
    error(done)
  end
  head.seq = seq
  return seq
end

-- Remember how far a room has come, and other fields and values; keep it for so many seconds from now.
local function keep(head, seconds, ...)
  redis.pcall('HSET', head.room, 'seq', head.seq, ...)
  redis.pcall('EXPIRE', head.room, seconds)
  redis.pcall('EXPIRE', head.history, seconds)
end

-- What an error says, whichever way this server throws it.
local function why_of(problem)
  return type(problem) == 'table' and problem.err or problem
end

