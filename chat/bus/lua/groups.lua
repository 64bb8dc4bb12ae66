-- What is known of consumer groups. It stands before the scripts that need it.

-- What a server says as a flat list of names and values, by name.
local function fields_of(flat)
  local found = {}
  for i = 1, #flat, 2 do
    found[flat[i]] = flat[i + 1]
  end
  return found
end

-- A group of a stream; nil where it is not there.
local function group_of(stream, name)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local found = fields_of(flat)
    if found.name == name then
      return found
    end
  end
end

local function parts_of(id)
  local ms, serial = id:match('^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(serial)
end

-- Whether one ID comes before another.
local function before(a, b)
  local a_ms, a_serial = parts_of(a)
  local b_ms, b_serial = parts_of(b)
  return a_ms < b_ms or (a_ms == b_ms and a_serial < b_serial)
end

