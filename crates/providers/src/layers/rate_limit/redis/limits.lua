-- The limits of one model, kept on a server that several processes share: the arithmetic of `gcra.rs` and `book.rs`.
--
-- KEYS:    the limits, one key each, and as the last one the pause.
-- ARGV[1]: what to do: `book`, `settle`, `lower`, or `pause`; ARGV[2]: the time in microseconds, empty for the server's.
--
-- A limit is kept as `at owed since`: seen from microsecond `at`, all that was taken has come back `owed` nanoseconds
-- later; what was taken before microsecond `since` is not given back. No key is a limit of which nothing is taken.
-- Lua has doubles only, which hold whole numbers to 2^53: owed times of a hundred days, and microseconds since 1970.

local now = tonumber(ARGV[2])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local limits = #KEYS - 1

-- Gives the nanoseconds from now until all has come back, which may have been before now, and since when it is kept.
local function owed(limit)
    local value = redis.call('GET', KEYS[limit])
    if not value then return nil end
    local at, time, since = string.match(value, '^(%d+) (-?%d+) (%d+)$')
    return tonumber(time) - math.max(0, now - at) * 1000, tonumber(since)
end

-- Keeps a limit for some time after all has come back, as calls may be settled then.
local function keep(limit, time, since)
    local expiry = math.max(0, math.ceil(time / 1000000)) + 600000
    local value = string.format('%.0f %.0f %.0f', now, time, since or now)
    redis.call('SET', KEYS[limit], value, 'PX', string.format('%.0f', expiry))
end

-- Gives the nanoseconds for which nothing is let through.
local function pause()
    return math.max(0, (tonumber(redis.call('GET', KEYS[#KEYS]) or 0) - now) * 1000)
end

-- ARGV[3]: nanoseconds that the caller can wait, -1 for any; then for each limit the time that what is asked for takes
-- to come back, and the time of a whole burst, both 0 where there is no limit.
local function book()
    local from, latest = pause(), tonumber(ARGV[3])
    local at = from
    for limit = 1, limits do
        local cost, window = tonumber(ARGV[2 + 2 * limit]), tonumber(ARGV[3 + 2 * limit])
        if window > 0 then
            at = math.max(at, math.max(owed(limit) or 0, from) + math.min(cost, window) - window)
        end
    end
    local granted = latest < 0 or at <= latest
    local answer = { granted and 1 or 0, at, now, from }
    for limit = 1, limits do
        local cost, window = tonumber(ARGV[2 + 2 * limit]), tonumber(ARGV[3 + 2 * limit])
        local time, since = owed(limit)
        if window > 0 and granted then
            time = math.max(time or 0, at) + cost
            keep(limit, time, since)
        end
        answer[4 + limit] = math.max(0, time or 0)
    end
    return answer
end

-- ARGV[3]: when it was taken; then for each limit the nanoseconds that were used beyond what was taken.
local function settle()
    for limit = 1, limits do
        local more = tonumber(ARGV[3 + limit])
        local time, since = owed(limit)
        if time and more ~= 0 and since <= tonumber(ARGV[3]) then
            keep(limit, time + more, since)
        elseif not time and more > 0 then
            keep(limit, more)
        end
    end
end

-- For each limit the time of a whole burst, 0 where there is nothing to do, and the time of what is left at most.
local function lower()
    for limit = 1, limits do
        local window, left = tonumber(ARGV[1 + 2 * limit]), tonumber(ARGV[2 + 2 * limit])
        if window > 0 then
            local time, since = owed(limit)
            keep(limit, math.max(time or 0, window - left), since)
        end
    end
end

local operation = ARGV[1]
if operation == 'book' then
    return book()
elseif operation == 'settle' then
    settle()
elseif operation == 'lower' then
    lower()
elseif operation == 'pause' then
    local time = math.max(pause(), tonumber(ARGV[3]))
    local expiry = string.format('%.0f', math.ceil(time / 1000000) + 1)
    redis.call('SET', KEYS[#KEYS], string.format('%.0f', now + math.ceil(time / 1000)), 'PX', expiry)
else
    return redis.error_reply('unknown operation')
end
return {}
