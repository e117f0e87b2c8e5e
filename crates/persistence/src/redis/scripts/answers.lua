-- Kept answers, oldest first, with the short leases by which one of several processes asks.
--
-- ARGV[1] says what is asked: `keep`, `lease`, `release`, `prune`, or `clear`.

local index, bytes_key = P .. 'answers', P .. 'answer-bytes'
local function answer(key) return P .. 'answer:' .. key end
local function duty(key) return P .. 'answer-lease:' .. key end

local function remove(key)
  local size = tonumber(call('HGET', answer(key), 'size')) or 0
  call('DEL', answer(key))
  call('ZREM', index, key)
  call('ZREM', P .. 'answer-ends', key)
  call('INCRBY', bytes_key, -size)
  return size
end

-- Removes the oldest, some hundreds at a time, until no more bytes are kept than allowed.
local function shrink(most)
  local count, freed = 0, 0
  while (tonumber(call('GET', bytes_key)) or 0) > most and count < 1000 do
    local oldest = call('ZRANGE', index, 0, 0)[1]
    if not oldest then break end
    freed = freed + remove(oldest)
    count = count + 1
  end
  return count, freed
end

local what = ARGV[1]
if what == 'keep' then
  -- most bytes, 1 where newer ones replace others, then key, age limit in ms, body of each
  local most = tonumber(ARGV[2])
  for place = 4, #ARGV, 3 do
    local key, body = ARGV[place], ARGV[place + 2]
    call('DEL', duty(key))
    local found = call('HGET', answer(key), 'till')
    local holds = found and tonumber(found) > NOW
    if #body <= most and (not holds or ARGV[3] == '1') then
      if found then remove(key) end
      local till = text(NOW + tonumber(ARGV[place + 1]))
      call('HSET', answer(key), 'kept', text(NOW), 'till', till, 'size', #body, 'body', body)
      call('ZADD', index, call('INCR', P .. 'answer-count'), key)
      call('ZADD', P .. 'answer-ends', till, key)
      call('INCRBY', bytes_key, #body)
    end
  end
  shrink(most)
  return 1
elseif what == 'lease' then
  -- key, holder, time in ms; answers `kept`, `yours`, or the time left
  local key, holder = ARGV[2], ARGV[3]
  local found = call('HMGET', answer(key), 'till', 'kept')
  if found[1] and tonumber(found[1]) > NOW then
    return {'kept', call('HGET', answer(key), 'body'), NOW - tonumber(found[2]), tonumber(found[1]) - NOW}
  end
  local other = call('GET', duty(key))
  if other and other ~= holder then
    local left = call('PTTL', duty(key))
    if left > 0 then return {'taken', left} end
  end
  if tonumber(ARGV[4]) > 0 then
    call('SET', duty(key), holder, 'PX', ARGV[4])
  else
    call('DEL', duty(key))
  end
  return {'yours'}
elseif what == 'release' then
  if call('GET', duty(ARGV[2])) == ARGV[3] then call('DEL', duty(ARGV[2])) end
  return 1
elseif what == 'prune' then
  local count, freed = 0, 0
  local over = call('ZRANGEBYSCORE', P .. 'answer-ends', '-inf', NOW, 'LIMIT', 0, 1000)
  for _, key in ipairs(over) do freed = freed + remove(key) end
  local more, shrunk = shrink(tonumber(ARGV[2]))
  return {#over + more, freed + shrunk, (#over == 1000 or more == 1000) and 1 or 0}
elseif what == 'clear' then
  local oldest = call('ZRANGE', index, 0, 999)
  local freed = 0
  for _, key in ipairs(oldest) do freed = freed + remove(key) end
  return {#oldest, freed, #oldest == 1000 and 1 or 0}
elseif what == 'counts' then
  local oldest = call('ZRANGE', index, 0, 0)[1]
  local kept = oldest and tonumber(call('HGET', answer(oldest), 'kept'))
  return {call('ZCARD', index), tonumber(call('GET', bytes_key)) or 0,
    call('ZCOUNT', P .. 'answer-ends', '-inf', NOW), kept and math.floor((NOW - kept) / 1000) or -1}
end
return redis.error_reply('unknown command of answers')
