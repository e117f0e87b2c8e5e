-- Conversations: a head, turns, and summaries, changed only by whoever saw the newest version.
--
-- ARGV[1] says what is asked: `create`, `append`, `rename`, or `delete`.

local id = ARGV[2]
local key = P .. 'conversation:' .. id
local turns, summaries = P .. 'turns:' .. id, P .. 'summaries:' .. id

local function touch()
  call('ZADD', P .. 'conversations', call('INCR', P .. 'conversation-changes'), id)
end

-- Pushes the values from a place on: the number of turns, turns, summaries.
local function push(place)
  local count = tonumber(ARGV[place])
  for offset = 1, count do call('RPUSH', turns, ARGV[place + offset]) end
  for rest = place + count + 1, #ARGV do call('RPUSH', summaries, ARGV[rest]) end
end

if ARGV[1] == 'create' then
  -- name of the write, head, turns, summaries
  local write = call('HGET', key, 'write')
  if write then return write == ARGV[3] and 'done' or 'taken' end
  call('HSET', key, 'write', ARGV[3], 'head', ARGV[4], 'version', 0)
  push(5)
  touch()
  return 'done'
elseif ARGV[1] == 'append' then
  -- name of the write, name of the write that was read, head, turns to keep, summaries to keep, turns, summaries
  local found = call('HMGET', key, 'write', 'version', 'title')
  if not found[1] then return 'gone' end
  if found[1] == ARGV[3] then return 'done' end
  -- Versions come again after a roll-back; names do not.
  if found[1] ~= ARGV[4] then return 'conflict' end
  call('HSET', key, 'write', ARGV[3], 'head', ARGV[5], 'version', tonumber(found[2]) + 1)
  local keep, tell = tonumber(ARGV[6]), tonumber(ARGV[7])
  if keep >= 0 then
    if keep == 0 then call('DEL', turns) else call('LTRIM', turns, 0, keep - 1) end
    if tell == 0 then call('DEL', summaries) else call('LTRIM', summaries, 0, tell - 1) end
  end
  push(8)
  touch()
  return 'done'
elseif ARGV[1] == 'rename' then
  if call('EXISTS', key) == 0 then return 'gone' end
  call('HSET', key, 'title', ARGV[3])
  return 'done'
end
local removed = call('DEL', key)
call('DEL', turns, summaries)
call('ZREM', P .. 'conversations', id)
return removed == 1 and 'done' or 'gone'
