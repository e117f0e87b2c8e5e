-- Books of budgets: reservations in all books or in none, and what becomes of those that nobody settles.
--
-- ARGV[1] is `reserve`: id, lease in ms, cost, tokens, then name, cost limit, token limit of each book (empty: none).
-- `settle`: id, then cost and tokens, or nothing where they are not known. `books`: nothing.
-- Amounts are added by the server as integers of 64 bits.

local function book(name) return P .. 'book:' .. name end
local function hold(id) return P .. 'reservation:' .. id end

local function add(name, part, cost, tokens)
  call('HINCRBY', book(name), part .. '_cost', cost)
  call('HINCRBY', book(name), part .. '_tokens', tokens)
end

local function minus(value) return string.sub(value, 1, 1) == '0' and '0' or ('-' .. value) end

local function books_of(id)
  return call('LRANGE', hold(id) .. ':books', 0, -1)
end

local function expire()
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'reservations', '-inf', NOW, 'LIMIT', 0, 500)) do
    call('ZREM', P .. 'reservations', id)
    local amount = call('HMGET', hold(id), 'cost', 'tokens')
    if amount[1] then
      call('HSET', hold(id), 'lost', 1)
      for _, name in ipairs(books_of(id)) do
        add(name, 'reserved', minus(amount[1]), minus(amount[2]))
        add(name, 'unknown', amount[1], amount[2])
      end
    end
  end
end

local function total(name, what)
  local parts = call('HMGET', book(name), 'spent_' .. what, 'unknown_' .. what, 'reserved_' .. what)
  return (tonumber(parts[1]) or 0) + (tonumber(parts[2]) or 0) + (tonumber(parts[3]) or 0)
end

expire()
if ARGV[1] == 'books' then
  local all = {}
  for _, name in ipairs(call('ZRANGE', P .. 'books', 0, -1)) do
    all[#all + 1] = {name, call('HGETALL', book(name))}
  end
  return all
end
local id = ARGV[2]
if ARGV[1] == 'reserve' then
  if call('EXISTS', hold(id)) == 1 then return {} end
  local cost, tokens = ARGV[4], ARGV[5]
  for place = 6, #ARGV, 3 do
    local name = ARGV[place]
    local over = (ARGV[place + 1] ~= '' and total(name, 'cost') + tonumber(cost) > tonumber(ARGV[place + 1]))
      or (ARGV[place + 2] ~= '' and total(name, 'tokens') + tonumber(tokens) > tonumber(ARGV[place + 2]))
    if over then return {name, call('HGETALL', book(name))} end
  end
  call('HSET', hold(id), 'cost', cost, 'tokens', tokens)
  call('ZADD', P .. 'reservations', text(NOW + tonumber(ARGV[3])), id)
  for place = 6, #ARGV, 3 do
    call('RPUSH', hold(id) .. ':books', ARGV[place])
    call('ZADD', P .. 'books', 0, ARGV[place])
    add(ARGV[place], 'reserved', cost, tokens)
  end
  return {}
end
local amount = call('HMGET', hold(id), 'cost', 'tokens', 'lost')
if not amount[1] then return {} end
for _, name in ipairs(books_of(id)) do
  local from = amount[3] and 'unknown' or 'reserved'
  if ARGV[3] then
    add(name, from, minus(amount[1]), minus(amount[2]))
    add(name, 'spent', ARGV[3], ARGV[4])
  elseif not amount[3] then
    add(name, 'reserved', minus(amount[1]), minus(amount[2]))
    add(name, 'unknown', amount[1], amount[2])
  end
end
call('DEL', hold(id), hold(id) .. ':books')
call('ZREM', P .. 'reservations', id)
return {}
