-- Goes on with lowering the counters of those who wait for an ended task, where they are too many for one script.
--
-- ARGV[1] is the run. Answers how many became ready, and whether more is left.

local run = load_run(ARGV[1])
local list_of = P .. 'releasing:' .. ARGV[1]
local entry = run and call('LINDEX', list_of, 0)
if not entry then
  call('SREM', P .. 'releasing', ARGV[1])
  if run and run.releasing > 0 then
    run.releasing = 0
    touch(run)
    flush()
  end
  return {0, 0}
end
local number, part = string.match(entry, '^(%d+):(%d+)$')
local ready, more = release_part(run, number, tonumber(part))
if more then
  call('LSET', list_of, 0, number .. ':' .. (tonumber(part) + 1))
else
  call('LPOP', list_of)
end
local left = call('LLEN', list_of)
if left == 0 then
  call('SREM', P .. 'releasing', run.id)
  run.releasing = 0
end
touch(run)
flush()
if ready > 0 then call('PUBLISH', P .. 'changes', KEYS[2]) end
return {ready, left}
