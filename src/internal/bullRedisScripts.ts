/**
 * Scripts on the keys of a BullMQ queue, where BullMQ has no command or one that would move units
 * from their places. `KEYS[1]` is the prefix of the keys.
 *
 * BullMQ claims first from `wait`, a list, then from `prioritized`, a sorted set. Its scores are
 * the priority times 2^32 plus a counter. A job that is put back gets a score below its priority
 * times 2^32, in order.
 */

const start = `
local prefix = KEYS[1]
local call = redis.call
`

const tell = `
local most = call('HGET', prefix .. 'meta', 'opts.maxLenEvents') or 10000
local function tell(event, id, prev)
  call('XADD', prefix .. 'events', 'MAXLEN', '~', most, '*', 'event', event, 'jobId', id, 'prev', prev)
end
`

const places = `

local function decode(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or {}
end

-- Since when it is ready, and its number among those of one millisecond.
local function placeOf(id)
  local job = call('HMGET', prefix .. id, 'timestamp', 'opts', 'progress')
  local opts, progress = decode(job[2]), decode(job[3])
  local at = (tonumber(job[1]) or 0) + (tonumber(opts.delay) or 0)
  return tonumber(progress.readyAt) or at, tonumber(opts.seq) or 0
end
`

const putBack = `
local WIDTH = 0x1000000

local function sorted(ids)
  local places = {}
  for i, id in ipairs(ids) do
    local at, seq = placeOf(id)
    places[i] = {id, at, seq}
  end
  table.sort(places, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    if a[3] ~= b[3] then return a[3] < b[3] end
    return a[1] < b[1]
  end)
  return places
end

local function putBack(ids)
  if #ids == 0 then return end
  local classes = {}
  for _, id in ipairs(ids) do
    local priority = tonumber(call('HGET', prefix .. id, 'priority')) or 0
    classes[priority] = classes[priority] or {}
    table.insert(classes[priority], id)
  end
  for priority, class in pairs(classes) do
    if priority == 0 then
      local places = sorted(class)
      for i = #places, 1, -1 do call('RPUSH', prefix .. 'wait', places[i][1]) end
    else
      local first = priority * 0x100000000
      local key = prefix .. 'prioritized'
      for _, id in ipairs(call('ZRANGEBYSCORE', key, string.format('%.0f', first - WIDTH), string.format('%.0f', first))) do
        table.insert(class, id)
      end
      local places = sorted(class)
      for i, place in ipairs(places) do
        call('ZADD', key, string.format('%.0f', first - #places + i), place[1])
      end
    end
  end
  for _, id in ipairs(ids) do
    tell('waiting', id, 'active')
  end
  call('ZADD', prefix .. 'marker', 0, '0')
end
`

/**
 * Arguments: `now`. Returns the numbers of ready and held jobs, the fleet's bound, whether the
 * queue is paused, when the next delayed job is due, and the last event.
 */
const look = `${start}local due = string.format('%.0f', (tonumber(ARGV[1]) + 1) * 0x1000 - 1)
local ready = call('LLEN', prefix .. 'wait') + call('LLEN', prefix .. 'paused') + call('ZCARD', prefix .. 'prioritized')
  + call('ZCOUNT', prefix .. 'delayed', '-inf', due)
local meta = call('HMGET', prefix .. 'meta', 'concurrency', 'paused')
local delayed = call('ZRANGEBYSCORE', prefix .. 'delayed', '(' .. due, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local last = call('XREVRANGE', prefix .. 'events', '+', '-', 'COUNT', 1)
return {
  ready,
  call('LLEN', prefix .. 'active'),
  meta[1] or '',
  meta[2] and 1 or 0,
  delayed[2] and math.floor(tonumber(delayed[2]) / 0x1000) or -1,
  last[1] and last[1][1] or '0-0'
}
`

/** Returns how many of the kinds ready, delayed and held have jobs. */
const idle =
  `${start}return call('EXISTS', prefix .. 'wait', prefix .. 'paused', prefix .. 'prioritized', prefix .. 'delayed',
  prefix .. 'active')
`

/**
 * Arguments: `now`. Returns the numbers of ready, delayed, held and dead jobs, and since when the
 * oldest is ready. Looks at the first job of up to 100 priorities.
 */
const depth = `${start}${places}
local due = string.format('%.0f', (tonumber(ARGV[1]) + 1) * 0x1000 - 1)
local overdue = call('ZCOUNT', prefix .. 'delayed', '-inf', due)
local oldest = -1
local function see(at)
  if oldest < 0 or at < oldest then oldest = at end
end
for _, list in ipairs({'wait', 'paused'}) do
  local id = call('LINDEX', prefix .. list, -1)
  if id then see((placeOf(id))) end
end
local score = '-inf'
for _ = 1, 100 do
  local first = call('ZRANGEBYSCORE', prefix .. 'prioritized', score, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not first[1] then break end
  see((placeOf(first[1])))
  local priority = math.floor((tonumber(first[2]) + 0x1000000) / 0x100000000)
  score = string.format('%.0f', (priority + 1) * 0x100000000 - 0x1000000 + 1)
end
local delayed = call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')
if overdue > 0 then see(math.floor(tonumber(delayed[2]) / 0x1000)) end
return {
  call('LLEN', prefix .. 'wait') + call('LLEN', prefix .. 'paused') + call('ZCARD', prefix .. 'prioritized') + overdue,
  call('ZCARD', prefix .. 'delayed') - overdue,
  call('LLEN', prefix .. 'active'),
  call('ZCARD', prefix .. 'failed'),
  oldest
}
`

/** Arguments: ids and locks in turn. Puts the jobs back. Returns the ids whose locks are lost. */
const release = `${start}${tell}${places}${putBack}
local back, lost = {}, {}
for i = 1, #ARGV, 2 do
  local id = ARGV[i]
  local lock = prefix .. id .. ':lock'
  if call('GET', lock) == ARGV[i + 1] then
    call('DEL', lock)
    call('SREM', prefix .. 'stalled', id)
    if call('LREM', prefix .. 'active', -1, id) > 0 then table.insert(back, id) else table.insert(lost, id) end
  else
    table.insert(lost, id)
  end
end
putBack(back)
return lost
`

/**
 * Arguments: a lock's milliseconds, then ids, locks and claim times in turn. Extends the locks. An
 * expired lock is set again if its job is still active by the same claim. Returns the ids whose
 * locks are lost.
 */
const renew = `${start}
local lost = {}
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  local key = prefix .. id .. ':lock'
  local lock = call('GET', key)
  local ours = lock == ARGV[i + 1]
  if not lock and call('HGET', prefix .. id, 'processedOn') == ARGV[i + 2] then
    ours = call('LREM', prefix .. 'active', -1, id) > 0
    if ours then call('LPUSH', prefix .. 'active', id) end
  end
  if ours then
    call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
    call('SREM', prefix .. 'stalled', id)
  else
    table.insert(lost, id)
  end
end
return lost
`

/**
 * Arguments: `maxCrashes`, a lock, its milliseconds, and spared ids. Counts a crash for each other
 * job with an expired lock, and puts it back. Jobs that reach `maxCrashes` get the lock. Returns
 * their ids.
 */
const recover = `${start}${tell}${places}${putBack}
local back, doomed, spared = {}, {}, {}
for i = 4, #ARGV do spared[ARGV[i]] = true end
for _, id in ipairs(call('LRANGE', prefix .. 'active', 0, -1)) do
  if not spared[id] and call('EXISTS', prefix .. id .. ':lock') == 0 then
    local job = prefix .. id
    call('SREM', prefix .. 'stalled', id)
    if call('EXISTS', job) == 0 then
      call('LREM', prefix .. 'active', -1, id)
    else
      local crashes = tonumber(call('HGET', job, 'stc')) or 0
      if crashes < tonumber(ARGV[1]) then crashes = call('HINCRBY', job, 'stc', 1) end
      tell('stalled', id, 'active')
      if crashes >= tonumber(ARGV[1]) then
        call('SET', job .. ':lock', ARGV[2], 'PX', ARGV[3])
        table.insert(doomed, id)
      else
        call('LREM', prefix .. 'active', -1, id)
        table.insert(back, id)
      end
    end
  end
end
putBack(back)
return doomed
`

/**
 * The fields of a job that a claim reads.
 *
 * @internal
 */
export const fields = [
  "data",
  "opts",
  "progress",
  "priority",
  "timestamp",
  "atm",
  "stc",
  "defa",
  "processedOn",
  "rjk",
  "name"
]

/**
 * Arguments: `now`, a lock's milliseconds, the number of jobs to complete, then their ids, locks
 * and attempts in turn, then locks. Completes the jobs, and claims one job with each further lock.
 * BullMQ needs a command for each. Returns an answer for each completed job (0: lost, 1: done, 2:
 * BullMQ's own command has to complete it), the claimed jobs, and whether BullMQ has to claim
 * because of a rate limit.
 */
const step = `${start}${tell}
local now, count = tonumber(ARGV[1]), tonumber(ARGV[3])
local active, wait, prioritized = prefix .. 'active', prefix .. 'wait', prefix .. 'prioritized'
local told, claimed = {}, {}

local keys, ended, completed = {}, {}, {}
for i = 1, count do keys[i] = prefix .. ARGV[1 + 3 * i] .. ':lock' end
local locks = count > 0 and call('MGET', unpack(keys)) or {}
for i = 1, count do
  local id = ARGV[1 + 3 * i]
  local job = prefix .. id
  told[i] = 0
  if locks[i] == ARGV[2 + 3 * i] then
    local more = call('HMGET', job, 'parentKey', 'deid', 'rjk', 'name')
    if more[1] or more[2] or more[3] or not more[4] then
      told[i] = 2
    else
      table.insert(ended, keys[i])
      if call('LREM', active, -1, id) > 0 then
        table.insert(completed, ARGV[1])
        table.insert(completed, id)
        call('HSET', job, 'returnvalue', 'null', 'finishedOn', ARGV[1], 'atm', ARGV[3 + 3 * i])
        call('XADD', prefix .. 'events', 'MAXLEN', '~', most, '*', 'event', 'completed', 'jobId', id, 'returnvalue', 'null', 'prev', 'active')
        told[i] = 1
      end
    end
  end
end
if #ended > 0 then call('DEL', unpack(ended)) end
if #completed > 0 then call('ZADD', prefix .. 'completed', unpack(completed)) end

local meta = call('HMGET', prefix .. 'meta', 'paused', 'concurrency', 'max')
local limited = meta[3] or call('EXISTS', prefix .. 'limiter') > 0
local first = 4 + 3 * count
if #ARGV >= first and not limited then
  local due = call('ZRANGEBYSCORE', prefix .. 'delayed', 0, string.format('%.0f', (now + 1) * 0x1000 - 1), 'LIMIT', 0, 1000)
  for _, id in ipairs(due) do
    local priority = tonumber(call('HGET', prefix .. id, 'priority')) or 0
    if priority == 0 then
      call('LPUSH', wait, id)
    else
      local score = priority * 0x100000000 + call('INCR', prefix .. 'pc') % 0x100000000
      call('ZADD', prioritized, string.format('%.0f', score), id)
    end
    tell('waiting', id, 'delayed')
    call('HSET', prefix .. id, 'delay', 0)
  end
  if #due > 0 then call('ZREM', prefix .. 'delayed', unpack(due)) end

  local room = #ARGV - first + 1
  if meta[1] then room = 0 end
  if meta[2] then room = math.min(room, tonumber(meta[2]) - call('LLEN', active)) end
  local ids = {}
  while #ids < room do
    local id = call('RPOPLPUSH', wait, active)
    if not id then break end
    table.insert(ids, id)
  end
  if #ids < room then
    local found = call('ZPOPMIN', prioritized, room - #ids)
    for i = 1, #found, 2 do
      call('LPUSH', active, found[i])
      table.insert(ids, found[i])
    end
    if #ids < room then call('DEL', prefix .. 'pc') end
  end
  for i, id in ipairs(ids) do
    local job = prefix .. id
    call('SET', job .. ':lock', ARGV[first + i - 1], 'PX', ARGV[2])
    call('HSET', job, 'processedOn', ARGV[1])
    call('HINCRBY', job, 'ats', 1)
    tell('active', id, 'waiting')
    claimed[i] = {id, call('HMGET', job, ${fields.map((field) => `'${field}'`).join(", ")})}
  end
  if #due > 0 or #claimed > 0 then call('ZADD', prefix .. 'marker', 0, '0') end
end

if count > 0 and #claimed == 0 and call('EXISTS', active, wait, prioritized) == 0 then
  call('XADD', prefix .. 'events', 'MAXLEN', '~', most, '*', 'event', 'drained')
end
return {told, claimed, limited and 1 or 0}
`

/**
 * The fields of a job that a list reads.
 *
 * @internal
 */
export const letterFields = [
  "data",
  "failedReason",
  "opts",
  "priority",
  "timestamp",
  "attemptsMade",
  "atm",
  "stc",
  "finishedOn",
  "name"
]

/**
 * Arguments: the most bytes of data and of reasons, then ids. Returns the jobs' listed fields.
 * Texts are cut between characters.
 */
const letters = `${start}
local function clip(text, most)
  if not text or #text <= most then return text end
  while most > 0 do
    local byte = string.byte(text, most + 1)
    if byte < 0x80 or byte >= 0xC0 then break end
    most = most - 1
  end
  return string.sub(text, 1, most)
end

local letters = {}
for i = 3, #ARGV do
  local job = call('HMGET', prefix .. ARGV[i], ${letterFields.map((field) => `'${field}'`).join(", ")})
  if job[1] or job[3] then
    job[1] = clip(job[1], tonumber(ARGV[1]))
    job[2] = clip(job[2], tonumber(ARGV[2]))
    table.insert(letters, {ARGV[i], job})
  end
end
return letters
`

/**
 * Arguments: a progress, then ids. Resets the attempts of dead letters. Returns the ids that are
 * dead letters.
 */
const pardon = `${start}
local dead = {}
for i = 2, #ARGV do
  if call('ZSCORE', prefix .. 'failed', ARGV[i]) then
    call('HDEL', prefix .. ARGV[i], 'stc', 'defa', 'stacktrace')
    call('HSET', prefix .. ARGV[i], 'progress', ARGV[1])
    table.insert(dead, ARGV[i])
  end
end
return dead
`

/** Arguments: ids. Deletes dead letters. Returns how many. */
const discard = `${start}${tell}
local discarded = 0
for _, id in ipairs(ARGV) do
  if call('ZREM', prefix .. 'failed', id) == 1 then
    local job = prefix .. id
    call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful')
    tell('removed', id, 'failed')
    discarded = discarded + 1
  end
end
return discarded
`

/** Arguments: a time. Returns how many jobs were completed until then. */
const old = `${start}return call('ZCOUNT', prefix .. 'completed', '-inf', ARGV[1])`

/**
 * A script whose answer begins with the server's time, in seconds and microseconds.
 *
 * @internal
 */
export const timely = (script: string): string => `
local function answer() ${script} end
local answered = answer()
local time = redis.call('TIME')
return {time[1], time[2], answered}
`

/**
 * The scripts by name.
 *
 * @internal
 */
export const scripts = {
  look,
  idle,
  depth,
  step,
  release,
  renew,
  recover,
  letters,
  pardon,
  discard,
  old,
  clock: "return ''"
}
