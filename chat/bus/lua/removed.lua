-- The places of a room whose messages were taken back: seq, ts, seq, ts… in order, packed in one field
-- of the room's hash, so that they end with its epoch. It stands before the scripts that need it.

local function removed_of(packed)
  local known, places = pcall(cmsgpack.unpack, packed or '\144')
  return known and type(places) == 'table' and places or {}
end

-- Those with after < seq < before, at most so many of the first, or of the last when `most` is
-- negative.
local function removed_between(packed, after, before, most)
  local places, found = removed_of(packed), {}
  local first, last, step = 1, #places - 1, 2
  if most < 0 then
    first, last, step = last, first, -2
  end
  for i = first, last, step do
    if #found >= 2 * math.abs(most) then
      break
    end
    if places[i] > after and places[i] < before then
      found[#found + 1] = places[i]
      found[#found + 1] = places[i + 1]
    end
  end
  return found
end

