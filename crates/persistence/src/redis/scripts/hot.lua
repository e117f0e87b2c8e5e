-- What workers do all the time: claim, renew, journal, write items, and complete; many commands in one script.
--
-- ARGV is a row of commands: name, number of arguments, arguments. What is decided here is decided as by the scheduler;
-- whatever is rare is answered `general` and left to it.

local changed = false

local function is_locked(run) return run.lock_until > NOW end

local function held(run, number, token)
  local task = call('HMGET', task_key(run.id, number), 'state', 'token')
  return task[1] == 'running' and task[2] == token
end

local function claimed(run, number, attempt, nonce)
  local key = task_key(run.id, number)
  local reason = attempt > 1 and get(P .. 'error:' .. run.id, number)
  return {run.id, tonumber(number), nonce, run.definition, call('HGETALL', key), get(P .. 'new:' .. run.id, number),
    reason or false}
end

local function lease(run, number, request, nonce)
  local key = task_key(run.id, number)
  local task = call('HMGET', key, 'attempt', 'lane')
  local attempt = (tonumber(task[1]) or 0) + 1
  local limit = task[2] and string.match(task[2], '^[^|]*|%d+|(.*)$')
  if limit then call('HINCRBY', P .. 'limits', limit, 1) end
  local till = text(NOW + request.ttl)
  call('HSET', key, 'state', 'running', 'attempt', attempt, 'token', attempt .. ':' .. nonce, 'worker', request.worker,
    'lease_until', till, 'started_at', text(NOW))
  call('ZADD', P .. 'leases', till, run.id .. ':' .. number)
  run.active = run.active + 1
  run.ready = run.ready - 1
  touch(run)
  note(run, number, '"event":"started","attempt":' .. attempt .. ',"worker":' .. request.worker_json)
  return claimed(run, number, attempt, nonce)
end

-- Says what a claim does with the first task of a lane, as the scheduler does with one that is run alone.
local function turn_of(lane, from, request)
  if not string.find(lane, '^[^|]*\1') then return 'take' end
  if not request.has_others then return 'alone' end
  return NOW - tonumber(from) % SPAN >= PATIENCE and 'stop' or 'pass'
end

-- Gives the first lanes of a list that may be taken from, those with the smallest score.
local function candidates(source, request)
  while true do
    local found = call('ZRANGE', source.key, source.skip, source.skip + 7, 'WITHSCORES')
    if #found == 0 then return end
    local id, lane = string.match(found[1], '^([^|]*)|(.*)$')
    local run = load_run(id)
    if not run or not may_start(run) then
      call('ZREM', source.key, found[1])
    else
      local most, limit = string.match(lane, '^[^|]*|(%d+)|(.*)$')
      local is_full = most and (tonumber(call('HGET', P .. 'limits', limit)) or 0) >= tonumber(most)
      local turn = turn_of(lane, found[2], request)
      if is_full or turn == 'pass' or is_locked(run) then
        source.skip = source.skip + 1
        source.passed[id] = (source.passed[id] or 0) + 1
      else
        return {run = run, lane = lane, score = tonumber(found[2]), turn = turn, more = found}
      end
    end
  end
end

-- Tells whether one candidate comes before another: by score, then run, then number.
local function head_of(candidate)
  if not candidate.head then
    candidate.head = call('ZRANGE', lane_key(candidate.run.id, candidate.lane), 0, 0)[1]
  end
  return candidate.head
end

local function is_before(one, other)
  if one.score ~= other.score then return one.score < other.score end
  if one.run.id ~= other.run.id then return one.run.id < other.run.id end
  return head_of(one) < head_of(other)
end

-- Among lanes of one run with one score, finds the one whose first task has the smallest number; it looks at so many at
-- most, because each claim does that again.
local EQUALS = 64
local function first_of_equals(best, source, request)
  local found, first, from = best.more, best, source.skip
  for place = 2, EQUALS do
    if place % 8 == 1 then
      from = from + 8
      found = call('ZRANGE', source.key, from, from + 7, 'WITHSCORES')
    end
    local offset = 2 * ((place - 1) % 8) + 1
    local id, lane = string.match(found[offset] or '', '^([^|]*)|(.*)$')
    if id ~= best.run.id or tonumber(found[offset + 1]) ~= best.score then break end
    local most, limit = string.match(lane, '^[^|]*|(%d+)|(.*)$')
    local is_full = most and (tonumber(call('HGET', P .. 'limits', limit)) or 0) >= tonumber(most)
    local turn = turn_of(lane, found[offset + 1], request)
    local other = {run = best.run, lane = lane, score = best.score, turn = turn, more = {}}
    if not is_full and turn ~= 'pass' and is_before(other, first) then first = other end
  end
  return first
end

local function next_lane(sources, request)
  local best
  for _, source in ipairs(sources) do
    local found = candidates(source, request)
    if found then
      found = first_of_equals(found, source, request)
      if not best or is_before(found, best) then best = found end
    end
  end
  return best
end

local function take(best, request, nonce)
  local run, lane = best.run, best.lane
  local key = lane_key(run.id, lane)
  local popped = call('ZPOPMIN', key)
  if not popped[1] then
    list(run, lane)
    return
  end
  local claim = lease(run, tostring(tonumber(popped[1])), request, nonce)
  if not may_start(run) then
    list_all(run)
  else
    local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[2] ~= popped[2] then list(run, lane) end
  end
  return claim
end

-- What a lost answer had given: the tasks that are leased by these nonces.
local function given_before(request)
  local given = {}
  for _, member in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    local id, number = string.match(member, '^(.*):(%d+)$')
    local token = call('HGET', task_key(id, number), 'token')
    local attempt, nonce = string.match(token or '', '^(%d+):(.*)$')
    local run = nonce and request.nonces[nonce] and load_run(id)
    if run then given[#given + 1] = claimed(run, number, tonumber(attempt), nonce) end
  end
  return given
end

local function sources_of(request)
  local queues = request.queues
  if #queues == 0 then queues = call('SMEMBERS', P .. 'queues') end
  local within = 'ready:'
  if request.run ~= '' then
    local run = load_run(request.run)
    if not run then return {} end
    within = 'ready-of:' .. request.run .. ':'
  end
  local sources = {}
  for _, queue in ipairs(queues) do
    sources[#sources + 1] = {key = P .. within .. queue, skip = 0, passed = {}}
  end
  return sources
end

-- Moves back to where reading goes on: the lanes of a full run have left the lists, passed ones too.
local function forget_passed(sources, id)
  for _, source in ipairs(sources) do
    source.skip = math.max(source.skip - (source.passed[id] or 0), 0)
    source.passed[id] = nil
  end
end

local commands = {}

-- worker, worker as JSON, ttl, limit, run, most active, again, tasks in hand, nonces..., queues...
function commands.claim(a)
  local request = {worker = a[1], worker_json = a[2], ttl = tonumber(a[3]), run = a[5], queues = {}, nonces = {}}
  local limit = tonumber(a[4])
  local nonces = {}
  request.has_others = tonumber(a[8]) > 0
  for place = 9, 8 + limit do
    nonces[#nonces + 1] = a[place]
    request.nonces[a[place]] = true
  end
  for place = 9 + limit, #a do request.queues[#request.queues + 1] = a[place] end
  if a[7] == '1' then
    local given = given_before(request)
    if #given > 0 then return given end
  end
  local most = tonumber(a[6])
  if most >= 0 then limit = math.min(limit, most - call('ZCARD', P .. 'leases')) end
  local claims = {}
  local promoted = promote(500)
  local sources = sources_of(request)
  while #claims < limit do
    local best = next_lane(sources, request)
    if best and best.turn == 'stop' then
      break
    elseif best then
      local claim = take(best, request, nonces[#claims + 1])
      if claim then
        claims[#claims + 1] = claim
        request.has_others = true
      end
      if not may_start(best.run) then forget_passed(sources, best.run.id) end
      if claim and best.turn == 'alone' then break end
    elseif promoted == 500 then
      promoted = promote(500)
      sources = sources_of(request)
    else
      break
    end
  end
  return claims
end

-- ttl, then run, number, token of each
function commands.renew(a)
  local states = {}
  for place = 2, #a, 3 do
    local run = load_run(a[place])
    if run and is_locked(run) then return 'busy' end
  end
  for place = 2, #a, 3 do
    local run = load_run(a[place])
    local number = a[place + 1]
    if run and held(run, number, a[place + 2]) then
      local till = text(NOW + tonumber(a[1]))
      call('HSET', task_key(run.id, number), 'lease_until', till)
      call('ZADD', P .. 'leases', till, run.id .. ':' .. number)
      touch(run)
      local stops = run.state == 'cancelling' or run.state == 'timing_out'
      states[#states + 1] = stops and 'cancelled' or 'held'
    else
      states[#states + 1] = 'lost'
    end
  end
  return states
end

-- run, number, token, expected entries, name of the append, records...
function commands.journal(a)
  local run = load_run(a[1])
  if not run or not held(run, a[2], a[3]) then return 'stale' end
  local key = task_key(run.id, a[2])
  local task = call('HMGET', key, 'journal', 'append')
  local count = tonumber(task[1]) or 0
  if task[2] == a[5] then return count end
  if count ~= tonumber(a[4]) then return {'entries', count} end
  if #a < 6 then return count end
  if is_locked(run) then return 'busy' end
  local log = P .. 'log:' .. run.id .. ':' .. a[2]
  for place = 6, #a do
    run.seq = run.seq + 1
    put(P .. 'journal:' .. run.id, text(run.seq), a[2] .. ' ' .. a[place])
    call('RPUSH', log, text(run.seq))
  end
  count = count + #a - 5
  call('HSET', key, 'journal', count, 'append', a[5])
  touch(run)
  changed = true
  return count
end

-- run, number, token, name of the item, `append` or `replace`, name of the write, records...
function commands.item(a)
  local run = load_run(a[1])
  if not run or not held(run, a[2], a[3]) then return 'stale' end
  local entries, last = P .. 'item:' .. run.id .. ':' .. a[4], P .. 'item-write:' .. run.id
  if call('HGET', last, a[4]) == a[6] then return 1 end
  if a[5] == 'replace' then call('DEL', entries) end
  for place = 7, #a do call('RPUSH', entries, a[place]) end
  call('HSET', last, a[4], a[6])
  call('ZADD', P .. 'items:' .. run.id, 0, a[4])
  return 1
end

-- Tells whether the end of an attempt needs the whole scheduler.
local function is_rare(run)
  return run.state ~= 'running' or (run.waiting > 0 and run.active <= 1) or (run.open <= 1 and run.parent ~= '')
    or run.releasing > 0
end

local function give_back(run, number, lane)
  call('ZREM', P .. 'leases', run.id .. ':' .. number)
  local limit = lane and string.match(lane, '^[^|]*|%d+|(.*)$')
  if limit then call('HINCRBY', P .. 'limits', limit, -1) end
  run.active = run.active - 1
  touch(run)
  changed = true
  if run.max_active and run.active + 1 >= run.max_active then list_all(run) end
end

-- Counts an item of a task as ended; gives how many tasks became ready.
local function item_ended(run, parent, task)
  local key = task_key(run.id, parent)
  local open = math.max((tonumber(task[2]) or 0) - 1, 0)
  if task[1] ~= 'waiting' or open > 0 then
    call('HSET', key, 'open_children', open)
    return 0
  end
  call('HSET', key, 'open_children', 0, 'state', 'ready', 'joining', 1, 'not_before', text(NOW))
  add_ready(run, parent, task[5], task[6], NOW)
  return 1
end

local function end_run(run)
  run.state = run.fatal > 0 and 'failed' or 'completed'
  call('HSET', run_key(run.id), 'ended_at', text(NOW))
  call('ZADD', P .. 'ended', text(NOW), run.id)
  call('ZREM', P .. 'deadlines', run.id)
  note(run, nil, '"event":"run_changed","state":"' .. run.state .. '"')
end

-- run, number, token, `done` | `skipped` | `released`, output or reason
function commands.complete(a)
  local run = load_run(a[1])
  if not run then return 'stale' end
  local number, how = a[2], a[4]
  local key = task_key(run.id, number)
  local task = call('HMGET', key, 'state', 'token', 'parent', 'lane', 'priority', 'attempt')
  if task[1] ~= 'running' or task[2] ~= a[3] then
    if task[2] == a[3] then return {task[1], 0, run.state} end
    return 'stale'
  end
  if is_locked(run) then return 'busy' end
  if is_rare(run) then return 'general' end
  local attempt = tonumber(task[6])
  if how == 'released' then
    give_back(run, number, task[4])
    call('HSET', key, 'state', 'ready', 'attempt', attempt - 1, 'not_before', text(NOW))
    add_ready(run, number, task[5], task[4], NOW)
    note(run, number, '"event":"released"')
    return {'ready', 1, run.state}
  end
  local parent = task[3] and task[3] ~= '' and task[3]
  local above
  if parent then
    above = call('HMGET', task_key(run.id, parent), 'state', 'open_children', 'failed_children', 'on_failure', 'priority',
      'lane')
    local fails = (tonumber(above[3]) or 0) > 0 and above[4] ~= 'continue'
    if above[1] == 'waiting' and (tonumber(above[2]) or 0) <= 1 and fails then return 'general' end
  end
  give_back(run, number, task[4])
  if how == 'done' then
    put(P .. 'output:' .. run.id, number, a[5])
    if attempt > 1 then remove_value(P .. 'error:' .. run.id, number) end
    note(run, number, '"event":"ended","state":"done"')
  else
    put(P .. 'error:' .. run.id, number, a[5])
    note(run, number, '"event":"ended","state":"skipped","error":' .. a[5])
  end
  call('HSET', key, 'state', how, 'ended_at', text(NOW))
  run[how] = run[how] + 1
  run.open = run.open - 1
  local ready, more = 0, false
  if parent then
    ready = item_ended(run, parent, above)
  else
    ready, more = release_part(run, number, 0)
    if more then
      call('RPUSH', P .. 'releasing:' .. run.id, number .. ':1')
      call('SADD', P .. 'releasing', run.id)
      run.releasing = 1
    end
  end
  if run.open == 0 then end_run(run) end
  return {how, ready, run.state, more and 'more' or 'all'}
end

local answers = {}
local place = 1
while place <= #ARGV do
  local count = tonumber(ARGV[place + 1])
  local arguments = {}
  for offset = 1, count do arguments[offset] = ARGV[place + 1 + offset] end
  answers[#answers + 1] = commands[ARGV[place]](arguments)
  place = place + 2 + count
end
flush()
if changed then call('PUBLISH', P .. 'changes', KEYS[2]) end
return answers
