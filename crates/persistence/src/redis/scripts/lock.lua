-- Keeps workers off a run for a moment, so that a change of the whole run is not overtaken again and again.
--
-- ARGV: run, token, milliseconds. Who changes the run must still find it as it was read; the lock only makes that likely.

local key = run_key(ARGV[1])
local found = call('HMGET', key, 'v', 'lock', 'lock_until')
if not found[1] then return 0 end
if found[2] and found[2] ~= ARGV[2] and (tonumber(found[3]) or 0) > NOW then return 0 end
call('HSET', key, 'lock', ARGV[2], 'lock_until', text(NOW + tonumber(ARGV[3])), 'v', next_version(tonumber(found[1])))
return 1
