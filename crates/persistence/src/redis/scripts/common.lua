-- What all scripts share: names of keys, the server's clock, and which tasks claims find.
--
-- KEYS[1] is `{namespace}:`; every other key begins with it, so that all lie in one slot of a cluster. KEYS[2] names the
-- process that asks, which needs no word of its own changes.
-- Ready tasks lie in lanes: one for each run, queue, and limit. A lane is listed in its queue by the score of its first
-- task while its run may start tasks, so that a run is halted by taking its few lanes off the lists. Tasks that are run
-- alone have lanes of their own, with a character 1 behind the queue.
-- No command here fails once another one has written: memory is checked when a script begins.

local P = KEYS[1]
local call = redis.call
local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- Versions of runs are times, so that none that was read before a roll-back of the server comes again after it.
-- Scores are priority * 2^42 + milliseconds: exact in a double.
local SPAN = 4398046511104
local BIG = 16384
-- Milliseconds that a task which is run alone is passed over by workers with others in hand.
local PATIENCE = 60000

local function score(priority, at)
  if at < 0 then at = 0 end
  if at >= SPAN then at = SPAN - 1 end
  return priority * SPAN + at
end

local function text(number)
  return string.format('%.0f', number)
end

local function run_key(run) return P .. 'run:' .. run end
local function task_key(run, number) return P .. 'task:' .. run .. ':' .. number end
local function lane_key(run, lane) return P .. 'lane:' .. run .. '|' .. lane end
local function padded(number) return string.format('%010d', number) end

-- Gives the version after this one. It holds the time, so that one that was lost with a roll-back does not come again.
local function next_version(version)
  return text(math.max(version + 1, clock[1] * 1000000 + clock[2]))
end

-- Keeps a value in a hash; a large one in a key of its own, which `@` stands for.
local function put(hash, field, value)
  if #value > BIG then
    call('SET', hash .. ':' .. field, value)
    call('HSET', hash, field, '@')
  elseif call('HSET', hash, field, value) == 0 then
    call('DEL', hash .. ':' .. field)
  end
end

local function remove_value(hash, field)
  if call('HDEL', hash, field) == 1 then call('DEL', hash .. ':' .. field) end
end

local function get(hash, field)
  local value = call('HGET', hash, field)
  if value == '@' then value = call('GET', hash .. ':' .. field) end
  return value
end

local RUN_FIELDS = {'state', 'active', 'max_active', 'root', 'ready', 'open', 'done', 'skipped', 'failed', 'fatal',
  'waiting', 'awaiting', 'events', 'seq', 'v', 'parent', 'definition', 'lock_until', 'releasing'}
local runs = {}

-- Reads a run once in a script; what is changed in it is written by `flush`.
local function load_run(id)
  local run = runs[id]
  if run ~= nil then return run end
  local values = call('HMGET', run_key(id), unpack(RUN_FIELDS))
  if not values[1] then
    runs[id] = false
    return false
  end
  run = {id = id, state = values[1], parent = values[16] or '', root = values[4], happened = {}}
  for place, field in ipairs(RUN_FIELDS) do
    if place ~= 1 and place ~= 4 and place ~= 16 then run[field] = tonumber(values[place]) or 0 end
  end
  run.max_active = tonumber(values[3])
  runs[id] = run
  return run
end

local function may_start(run)
  return run.state == 'running' and (not run.max_active or run.active < run.max_active)
end

-- Lists a lane by its first task, or takes it off the lists.
local function list(run, lane)
  local name = run.id .. '|' .. lane
  local queue = string.match(lane, '^[^|\1]*')
  local head = may_start(run) and call('ZRANGE', lane_key(run.id, lane), 0, 0, 'WITHSCORES')
  if head and head[1] then
    if call('ZADD', P .. 'ready:' .. queue, head[2], name) == 1 then call('SADD', P .. 'queues', queue) end
    call('ZADD', P .. 'ready-of:' .. run.root .. ':' .. queue, head[2], name)
    if run.root ~= run.id then call('ZADD', P .. 'ready-of:' .. run.id .. ':' .. queue, head[2], name) end
  else
    call('ZREM', P .. 'ready:' .. queue, name)
    call('ZREM', P .. 'ready-of:' .. run.root .. ':' .. queue, name)
    if run.root ~= run.id then call('ZREM', P .. 'ready-of:' .. run.id .. ':' .. queue, name) end
  end
end

local function list_all(run)
  for _, lane in ipairs(call('SMEMBERS', P .. 'lanes:' .. run.id)) do list(run, lane) end
end

local function add_to_lane(run, number, priority, lane, at)
  local key, member = lane_key(run.id, lane), padded(number)
  call('ZADD', key, text(score(priority, at)), member)
  if call('ZRANGE', key, 0, 0)[1] == member then
    call('SADD', P .. 'lanes:' .. run.id, lane)
    list(run, lane)
  end
end

-- Makes a task findable whose row says already that it is ready.
local function add_ready(run, number, priority, lane, at)
  run.ready = run.ready + 1
  if at > NOW then
    call('ZADD', P .. 'delayed', text(at), run.id .. ':' .. number)
  else
    add_to_lane(run, number, tonumber(priority) or 2, lane or 'default', at)
  end
end

-- Moves tasks whose delay is over to their lanes; gives how many.
local function promote(most)
  local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', NOW, 'LIMIT', 0, most)
  for _, member in ipairs(due) do
    call('ZREM', P .. 'delayed', member)
    local id, number = string.match(member, '^(.*):(%d+)$')
    local run = load_run(id)
    local task = call('HMGET', task_key(id, number), 'state', 'not_before', 'priority', 'lane')
    if not run then
      -- A run whose last part is not there yet is looked at again.
      if call('ZSCORE', P .. 'submitting', id) then call('ZADD', P .. 'delayed', text(NOW + 1000), member) end
    elseif task[1] == 'ready' then
      add_to_lane(run, number, tonumber(task[3]) or 2, task[4] or 'default', tonumber(task[2]))
    end
  end
  return #due
end

local function note(run, task, event)
  run.events = run.events + 1
  local subject = task and ('"task":' .. task .. ',') or ''
  run.happened[#run.happened + 1] = '{"at":' .. text(NOW) .. ',' .. subject .. '"change":{' .. event .. '}}'
  if #run.happened >= 500 then
    call('RPUSH', P .. 'events:' .. run.id, unpack(run.happened))
    run.happened = {}
  end
end

local function touch(run) run.is_changed = true end

local function flush()
  for _, run in pairs(runs) do
    if run and run.is_changed then
      call('HSET', run_key(run.id), 'state', run.state, 'active', run.active, 'ready', run.ready, 'open', run.open,
        'done', run.done, 'skipped', run.skipped, 'events', run.events, 'seq', run.seq, 'v', next_version(run.v),
        'releasing', run.releasing)
      if #run.happened > 0 then call('RPUSH', P .. 'events:' .. run.id, unpack(run.happened)) end
    end
  end
end

-- Lowers the counters of one part of those who wait for a task; gives how many became ready, and whether more parts follow.
local function release_part(run, number, part)
  local field = part == 0 and number or (number .. ':' .. part)
  local waiting = call('HGET', P .. 'after:' .. run.id, field)
  if not waiting then return 0, false end
  local ready = 0
  for dependent in string.gmatch(waiting, '%d+') do
    local key = task_key(run.id, dependent)
    local task = call('HMGET', key, 'state', 'remaining', 'not_before', 'delay', 'priority', 'lane')
    if task[1] == 'blocked' then
      local remaining = tonumber(task[2]) - 1
      if remaining == 0 then
        local at = math.max(tonumber(task[3]) or 0, NOW + (tonumber(task[4]) or 0))
        call('HSET', key, 'state', 'ready', 'remaining', 0, 'not_before', text(at))
        add_ready(run, dependent, task[5], task[6], at)
        ready = ready + 1
      else
        call('HSET', key, 'remaining', remaining)
      end
    end
  end
  return ready, string.sub(waiting, -1) == ';'
end
