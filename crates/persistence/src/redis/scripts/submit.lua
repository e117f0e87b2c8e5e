-- Stores a run, part by part where it is large; nobody sees it before its last part is there.
--
-- ARGV: run, name of the submission, 1 for the first part, 1 for the last part, key of the submission, number of words of
-- the run's hash, those words, definition, inputs, settings, then of each task: number, state, remaining, not before,
-- priority, lane, delay, on_failure, definition, those who wait for it (parts divided by `/`). Answers `done`, `taken`,
-- `first` with the run that has the key, or `torn` where the server lost earlier parts.

local id, name, key = ARGV[1], ARGV[2], ARGV[5]
local is_last = ARGV[4] == '1'
local run, by = run_key(id), P .. 'submitting-by'

local nonce = call('HGET', run, 'submission')
if nonce then return {nonce == name and 'done' or 'taken'} end
local other = call('HGET', by, id)
if ARGV[3] == '1' then
  if other and other ~= name then return {'taken'} end
elseif other ~= name then
  return {other and 'taken' or 'torn'}
end
local first = key ~= '' and call('HGET', P .. 'submitted', key)
if first then return {'first', first} end
if not is_last and ARGV[3] == '1' then
  call('HSET', by, id, name)
  call('ZADD', P .. 'submitting', text(NOW), id)
end

local place = 7 + tonumber(ARGV[6])
local spec = place
place = place + 3
local new, after, lanes = P .. 'new:' .. id, P .. 'after:' .. id, {}
while place <= #ARGV do
  local number = ARGV[place]
  local words = {'state', ARGV[place + 1], 'not_before', ARGV[place + 3]}
  local function keep(field, offset, default)
    local value = ARGV[place + offset]
    if value ~= default then
      words[#words + 1] = field
      words[#words + 1] = value
    end
  end
  keep('remaining', 2, '0')
  keep('priority', 4, '2')
  keep('lane', 5, 'default')
  keep('delay', 6, '0')
  keep('on_failure', 7, 'fail')
  call('HSET', task_key(id, number), unpack(words))
  put(new, number, ARGV[place + 8])
  if ARGV[place + 9] ~= '' then
    local part = 0
    for numbers in string.gmatch(ARGV[place + 9], '[^/]+') do
      call('HSET', after, part == 0 and number or (number .. ':' .. part), numbers)
      part = part + 1
    end
  end
  if ARGV[place + 1] == 'ready' then
    local at, lane = tonumber(ARGV[place + 3]), ARGV[place + 5]
    if at > NOW then
      call('ZADD', P .. 'delayed', ARGV[place + 3], id .. ':' .. number)
    else
      lanes[lane] = true
      call('ZADD', lane_key(id, lane), text(score(tonumber(ARGV[place + 4]), at)), padded(number))
    end
  end
  place = place + 10
end
for lane in pairs(lanes) do call('SADD', P .. 'lanes:' .. id, lane) end
if not is_last then return {'done'} end

local words = {}
local tasks
for offset = 1, tonumber(ARGV[6]) do
  words[offset] = ARGV[6 + offset]
  if offset % 2 == 0 and words[offset - 1] == 'tasks' then tasks = tonumber(words[offset]) end
end
if call('HLEN', new) ~= tasks then return {'torn'} end
call('HSET', run, 'submission', name, 'v', next_version(0), 'events', 1, unpack(words))
put(P .. 'spec:' .. id, 'definition', ARGV[spec])
put(P .. 'spec:' .. id, 'inputs', ARGV[spec + 1])
put(P .. 'spec:' .. id, 'settings', ARGV[spec + 2])
call('ZADD', P .. 'runs', call('INCR', P .. 'run-count'), id)
if key ~= '' then call('HSET', P .. 'submitted', key, id) end
local facts = call('HMGET', run, 'parent', 'deadline')
if facts[1] ~= '' then call('SADD', P .. 'children:' .. facts[1], id) end
if facts[2] ~= '' then call('ZADD', P .. 'deadlines', facts[2], id) end
call('RPUSH', P .. 'events:' .. id, '{"at":' .. text(NOW) .. ',"change":{"event":"submitted","tasks":' .. tasks .. '}}')
call('ZREM', P .. 'submitting', id)
call('HDEL', by, id)
list_all(load_run(id))
call('PUBLISH', P .. 'changes', KEYS[2])
return {'done'}
