-- Writes what the scheduler decided about rows that were read before, unless a run was changed meanwhile.
--
-- ARGV: name of the commit; number of checks, each: run, `v` or `state`, value; number of runs that change, each by its id,
-- which get new versions and are listed anew; then commands, each: number of words, words; the first run that is checked remembers the name, so that a commit whose
-- answer was lost is not repeated; one without a name leaves none.

local name, place = ARGV[1], 2
local count = tonumber(ARGV[place])
place = place + 1
local first = ARGV[place]
if count > 0 and name ~= '' and call('HGET', run_key(first), 'commit') == name then return 'done' end
for _ = 1, count do
  local field, expected = ARGV[place + 1], ARGV[place + 2]
  local found = call('HGET', run_key(ARGV[place]), field)
  if (found or '') ~= expected then return 'conflict' end
  place = place + 3
end
local listed = {}
for offset = 1, tonumber(ARGV[place]) do listed[offset] = ARGV[place + offset] end
place = place + #listed + 1
while place <= #ARGV do
  local words = {}
  local length = tonumber(ARGV[place])
  for offset = 1, length do words[offset] = ARGV[place + offset] end
  call(unpack(words))
  place = place + length + 1
end
if count > 0 and name ~= '' then call('HSET', run_key(first), 'commit', name) end
for _, id in ipairs(listed) do
  local run = load_run(id)
  if run then
    call('HSET', run_key(id), 'v', next_version(run.v))
    list_all(run)
  end
end
call('PUBLISH', P .. 'changes', KEYS[2])
return 'done'
