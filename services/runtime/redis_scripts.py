"""Lua that runs inside the log's server. Each script is one atomic step on keys of one bucket.

Only commands common to Redis 7.2 and Valkey. Every writing script's first write is one that the server refuses when
it is out of memory or disk, so a refused script has changed nothing. Numbers stay below 2^53: Lua's are doubles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """Source text and the digest by which EVALSHA names it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


def pack(items: Iterable[bytes]) -> bytes:
    """Many byte strings as one argument: count, then each length (uint32, little-endian), then all bytes.

    One argument instead of thousands: the client would spend 10x the time on framing each.
    """
    parts = items if isinstance(items, list) else list(items)
    return struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts)) + b"".join(parts)


_SHARED = """
local function decimal(number) return string.format('%.0f', number) end

-- Append ARGV[from .. from+count-1]; the stream's meta is written first, so a full server refuses the whole.
local function extend(stream, meta, now, fresh_epoch, from, count)
  local known = redis.call('HMGET', meta, 'last', 'at', 'epoch')
  local last = tonumber(known[1] or '0')
  local at = math.max(tonumber(now), tonumber(known[2] or '0'))
  if not known[3] then redis.call('HSET', meta, 'epoch', fresh_epoch) end
  if count == 0 then
    redis.call('HSET', meta, 'last', decimal(last))
    return last, at
  end
  local stamp = decimal(at)
  redis.call('HSET', meta, 'last', decimal(last + count), 'at', stamp)
  for i = 0, count - 1 do
    redis.call('XADD', stream, decimal(last + 1 + i) .. '-0', 't', stamp, 'p', ARGV[from + i])
  end
  return last + count, at
end
"""

#: KEYS stream, meta. ARGV now_us, fresh epoch, payloads... -> {last, recorded_at_us}
APPEND = Script(
    _SHARED
    + """
local last, at = extend(KEYS[1], KEYS[2], ARGV[1], ARGV[2], 3, #ARGV - 2)
return {last, at}
"""
)

#: KEYS stream, meta, lease, tables... ARGV now_us, fresh epoch, fence epoch, source or '', its position,
#: number of outputs, outputs..., then per table: drop ('1' or '0'), packed deletes, packed key-value pairs.
#: -> {1, last, recorded_at_us} applied, {0, last, recorded_at_us} already there, {-1, the lease's epoch, 0} fenced
COMMIT = Script(
    _SHARED
    + """
local function call_packed(command, key, blob)
  local count = struct.unpack('<I4', blob)
  local at = 5 + 4 * count
  local args, size = {}, 0
  for i = 1, count do
    local length = struct.unpack('<I4', blob, 1 + 4 * i)
    size = size + 1
    args[size] = string.sub(blob, at, at + length - 1)
    at = at + length
    -- Lua's stack bounds unpack; an even number keeps each key with its value.
    if size == 4000 or i == count then
      redis.call(command, key, unpack(args, 1, size))
      size = 0
    end
  end
end

local newest = redis.call('HGET', KEYS[3], 'epoch')
if newest ~= ARGV[3] then return {-1, tonumber(newest or '0'), 0} end

local source, outputs = ARGV[4], tonumber(ARGV[6])
if source ~= '' then
  local known = redis.call('HMGET', KEYS[2], 'p:' .. source, 'last', 'at')
  if known[1] and tonumber(known[1]) >= tonumber(ARGV[5]) then
    -- Written again as it is: WAIT answers for a connection's last write, and a replay may be the first there.
    redis.call('HSET', KEYS[2], 'p:' .. source, known[1])
    return {0, tonumber(known[2] or '0'), tonumber(known[3] or '0')}
  end
end

local last, at = extend(KEYS[1], KEYS[2], ARGV[1], ARGV[2], 7, outputs)
local arg = 7 + outputs
for i = 4, #KEYS do
  if ARGV[arg] == '1' then redis.call('UNLINK', KEYS[i]) end
  call_packed('HDEL', KEYS[i], ARGV[arg + 1])
  call_packed('HSET', KEYS[i], ARGV[arg + 2])
  arg = arg + 3
end
if source ~= '' then redis.call('HSET', KEYS[2], 'p:' .. source, ARGV[5]) end
return {1, last, at}
"""
)

#: KEYS stream, meta. ARGV below -> number of entries forgotten
TRIM = Script("""
local known = redis.call('HMGET', KEYS[2], 'first', 'last')
local first = tonumber(known[1] or '1')
local below = math.min(tonumber(ARGV[1]), tonumber(known[2] or '0') + 1)
if below <= first then return 0 end
-- XTRIM comes first: it is allowed when memory is full, and so is what follows it in one script.
redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f-0', below))
redis.call('HSET', KEYS[2], 'first', string.format('%.0f', below))
return below - first
""")

#: KEYS stream -> how many entries were written anew, -1 when they are too many for one step. The server packs entries
#: in nodes, and marks those that were trimmed out of the midst of a node instead of removing their bytes.
REPACK = Script("""
local length = redis.call('XLEN', KEYS[1])
if length > 50000 then return -1 end
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
if length == 0 then
  redis.call('UNLINK', KEYS[1])
  return 0
end
redis.call('DEL', KEYS[1])
for _, entry in ipairs(entries) do redis.call('XADD', KEYS[1], entry[1], unpack(entry[2])) end
return length
""")

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

#: KEYS lease. ARGV owner, ttl_us -> the epoch, or 0 when another owner holds it
ACQUIRE = Script(
    _NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'until')
if known[1] and known[1] ~= ARGV[1] and tonumber(known[3]) > now then return 0 end
local epoch = tonumber(known[2] or '0')
if known[1] ~= ARGV[1] then epoch = epoch + 1 end
-- PERSIST changes nothing, but as the first write it lets a lease be renewed while memory is full.
redis.call('PERSIST', KEYS[1])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', string.format('%.0f', epoch),
  'until', string.format('%.0f', now + tonumber(ARGV[2])))
return epoch
"""
)

#: KEYS lease. ARGV owner -> 1 if it was held by owner, else 0
RELEASE = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'until')
return 1
""")

#: KEYS lease -> the owner or nil
OWNER = Script(
    _NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'owner', 'until')
if known[1] and tonumber(known[2]) > now then return known[1] end
return false
"""
)
