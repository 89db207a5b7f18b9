/**
 * A list of ids and values to look rows up by. The planner must not see its length, nor that all
 * ids are of one queue. Otherwise it may read the whole queue or table instead of using the keys.
 */
const list = (ids: string, more: { readonly [Name in string]?: string } = {}): string =>
  [
    `SELECT $1::text AS queue, unnest(ARRAY(SELECT ${ids})) AS id`,
    ...Object.entries(more).map(([name, values]) => `unnest(ARRAY(SELECT ${values})) AS ${name}`)
  ].join(", ")

const given = `given AS MATERIALIZED (${list("unnest($2::text[])", { lock: "unnest($3::text[])" })})`

const isOf = (rows: string): string => `job.queue = ${rows}.queue AND job.id = ${rows}.id`

/** When the next delayed job after the time `$2` is due. */
const next = `(SELECT process_at_ms FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms > $2
        ORDER BY process_at_ms LIMIT 1)`

/** The server's time in milliseconds. */
const clock = "(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock"

/** The kinds of jobs in a depth, as conditions. `$2` is the time. */
const counted = {
  waiting: "state = 'waiting'",
  due: "state = 'delayed' AND process_at_ms <= $2",
  delayed: "state = 'delayed' AND process_at_ms > $2",
  held: "state = 'active'",
  dead: "state = 'failed'"
}

/**
 * A kind of jobs in a depth.
 *
 * @internal
 */
export type Counted = keyof typeof counted

/**
 * Counts all jobs of a kind.
 *
 * @internal
 */
export const count = (what: Counted): string =>
  `SELECT count(*) AS count FROM job WHERE queue = $1 AND $2::bigint IS NOT NULL AND ${counted[what]}`

/**
 * Statements on BullMQ's tables, where BullMQ has no function or one that would move units from
 * their places. `$1` is the queue. BullMQ claims by `priority` and `seq`: a job that is put back
 * keeps its `seq`, and a due one gets the next.
 *
 * No statement reads many more rows than it changes, whatever the planner's statistics say. So each
 * LIMIT is a number or a parameter: the planner takes an expression for a tenth of all rows. Rows
 * with known keys are found by their keys: comparing `state::text` rules out its index.
 *
 * @internal
 */
export const statements = {
  // Returns how many jobs it made claimable, and when the next one is due.
  promote: `WITH first AS MATERIALIZED (
      SELECT id FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2
      ORDER BY process_at_ms, seq LIMIT $3 FOR UPDATE SKIP LOCKED
    ), numbered AS MATERIALIZED (
      SELECT id, nextval('job_seq') AS seq FROM first
    ), due AS MATERIALIZED (
      ${list("id FROM numbered", { seq: "seq FROM numbered" })}
    ), promoted AS (
      UPDATE job SET state = 'waiting', delay_ms = 0, seq = due.seq FROM due WHERE ${isOf("due")}
      RETURNING job.id
    )
    SELECT
      (SELECT count(publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'delayed'))) FROM promoted) AS promoted,
      ${next} AS next,
      ${clock}`,
  look: `SELECT
      (SELECT count(*) FROM (SELECT FROM job WHERE queue = $1 AND state = 'waiting' LIMIT $3) AS first) AS waiting,
      (SELECT count(*) FROM (SELECT FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2 LIMIT $3) AS first) AS due,
      ${next} AS next,
      (SELECT value FROM meta WHERE queue = $1 AND field = 'concurrency') AS bound,
      (SELECT count(*) FROM meta WHERE queue = $1 AND field = 'paused' AND value = '1') AS paused,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'active'
        AND (SELECT count(*) FROM meta WHERE queue = $1 AND field = 'concurrency') > 0) AS active,
      ${clock}`,
  // $2, $3: ids and locks of completed jobs. $4: the locks for $7 new claims. BullMQ itself handles
  // a bound and a rate limit.
  step: `WITH ${given}, held AS MATERIALIZED (
      SELECT job.queue, job.id FROM given JOIN job ON ${isOf("given")}
      WHERE lock_token = given.lock AND state::text = 'active' FOR UPDATE OF job
    ), done AS (
      UPDATE job SET state = 'completed', return_value = 'null', finished_at_ms = $5, lock_token = NULL, locked_until_ms = NULL,
        attempts_made = attempts_made + 1
      FROM held WHERE ${isOf("held")}
        AND job.parent_id IS NULL AND dedup_id IS NULL AND scheduler_id IS NULL
        AND NOT EXISTS (
          SELECT FROM job_dependency AS child WHERE child.parent_queue = job.queue AND child.parent_id = job.id
        )
      RETURNING job.id
    ), open AS (
      SELECT count(*) FILTER (WHERE field <> 'paused') > 0 AS limited, count(*) > 0 AS shut FROM meta
      WHERE queue = $1 AND (field IN ('concurrency', 'max') OR field = 'paused' AND value = '1')
    ), ready AS MATERIALIZED (
      SELECT id FROM job WHERE queue = $1 AND state = 'waiting' AND NOT (SELECT shut FROM open) ORDER BY priority, seq
      LIMIT $7 FOR UPDATE SKIP LOCKED
    ), picked AS MATERIALIZED (
      ${list("id FROM ready", { lock: "unnest($4::text[])" })}
    ), claimed AS (
      UPDATE job SET state = 'active', lock_token = picked.lock, locked_until_ms = $5::bigint + $6::bigint, processed_at_ms = $5,
        processed_by = NULL, attempts_started = attempts_started + 1
      FROM picked WHERE ${isOf("picked")}
      RETURNING job.id, lock_token, data, opts, progress, priority, added_at_ms, attempts_made, stalled_count, deferred_failure,
        scheduler_id, name
    ), told AS (
      SELECT publish_event($1, 'completed', jsonb_build_object('jobId', id, 'returnvalue', 'null', 'prev', 'active')) FROM done
      UNION ALL SELECT publish_event($1, 'active', jsonb_build_object('jobId', id, 'prev', 'waiting')) FROM claimed
    )
    SELECT
      (SELECT limited FROM open) AS limited,
      (SELECT count(*) FROM told) AS told,
      ARRAY(SELECT id FROM held) AS held,
      ARRAY(SELECT id FROM done) AS done,
      coalesce((SELECT jsonb_agg(claimed) FROM claimed), '[]') AS claimed,
      ${clock}`,
  drained: `SELECT publish_event($1, 'drained', '{}')
    WHERE NOT EXISTS (SELECT FROM job WHERE queue = $1 AND state IN ('active', 'waiting'))`,
  release: `WITH ${given}, back AS (
      UPDATE job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL, stalled_marked = false
      FROM given WHERE ${isOf("given")} AND lock_token = given.lock AND state::text = 'active'
      RETURNING job.id
    )
    SELECT id, publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'active')), pg_notify('bullmq_jobs', $1)
    FROM back`,
  renew: `WITH ${given}
    UPDATE job SET locked_until_ms = $4 FROM given
    WHERE ${isOf("given")} AND lock_token = given.lock AND state::text = 'active' RETURNING job.id`,
  // A job that reached maxCrashes stays active under the lock that buries it.
  recover: `WITH lapsed AS MATERIALIZED (
      SELECT queue, id, stalled_count + 1 >= $3 AS doomed FROM job
      WHERE queue = $1 AND state = 'active' AND locked_until_ms < $2 AND coalesce(lock_token, '') <> ALL($6::text[])
      FOR UPDATE SKIP LOCKED
    ), recovered AS (
      UPDATE job SET
        state = CASE WHEN doomed THEN state ELSE 'waiting' END,
        lock_token = CASE WHEN doomed THEN $4 END,
        locked_until_ms = CASE WHEN doomed THEN $2::bigint + $5::bigint END,
        stalled_count = greatest(stalled_count, least(stalled_count + 1, $3)),
        stalled_marked = false
      FROM lapsed WHERE job.queue = lapsed.queue AND job.id = lapsed.id
      RETURNING job.id, doomed
    )
    SELECT id, doomed, publish_event($1, 'stalled', jsonb_build_object('jobId', id)), pg_notify('bullmq_jobs', $1)
    FROM recovered`,
  remember: `UPDATE job SET progress = $4::jsonb
    WHERE queue = $1 AND id = $2 AND lock_token = $3 AND state::text = 'active'`,
  // Each condition has its own index.
  idle: `SELECT NOT (
      EXISTS (SELECT FROM job WHERE queue = $1 AND state = 'active')
      OR EXISTS (SELECT FROM job WHERE queue = $1 AND state = 'waiting')
      OR EXISTS (SELECT FROM job WHERE queue = $1 AND state = 'delayed')
    ) AS idle`,
  // Looks at the first job of up to 100 priorities, and counts up to $3 jobs of each kind.
  depth: `WITH RECURSIVE head AS (
      (SELECT priority, progress, opts, added_at_ms FROM job WHERE queue = $1 AND state = 'waiting' ORDER BY priority, seq LIMIT 1)
      UNION ALL
      SELECT following.* FROM head, LATERAL (
        SELECT priority, progress, opts, added_at_ms FROM job
        WHERE queue = $1 AND state = 'waiting' AND priority > head.priority ORDER BY priority, seq LIMIT 1
      ) AS following
    ), ready AS (
      SELECT CASE WHEN jsonb_typeof(progress->'readyAt') = 'number' THEN (progress->>'readyAt')::numeric
        ELSE added_at_ms + CASE WHEN jsonb_typeof(opts->'delay') = 'number' THEN (opts->>'delay')::numeric ELSE 0 END END AS at
      FROM (SELECT * FROM head LIMIT 100) AS heads
      UNION ALL (SELECT process_at_ms FROM job WHERE queue = $1 AND ${counted.due} ORDER BY process_at_ms LIMIT 1)
    )
    SELECT
      ${
    Object.entries(counted).map(([what, where]) =>
      `(SELECT count(*) FROM (SELECT FROM job WHERE queue = $1 AND ${where} LIMIT $3) AS first) AS ${what},`
    ).join("\n      ")
  }
      (SELECT min(at) FROM ready) AS oldest`,
  // A completed job can go: its parent has kept its result.
  forget: `WITH old AS MATERIALIZED (
      SELECT id FROM job WHERE queue = $1 AND state = 'completed' AND finished_at_ms <= $2
      ORDER BY finished_at_ms LIMIT $3 FOR UPDATE SKIP LOCKED
    ), listed AS MATERIALIZED (
      ${list("id FROM old")}
    ), forgotten AS (
      DELETE FROM job USING listed WHERE ${isOf("listed")} RETURNING job.id
    )
    SELECT count(*) AS count, publish_event($1, 'cleaned', jsonb_build_object('count', count(*)::text)) FROM forgotten
    HAVING count(*) > 0`,
  // $3, $4: the most bytes of data and of reason, in UTF-8, because a database with SQL_ASCII
  // counts no characters.
  letters: `WITH letters AS MATERIALIZED (${list("unnest($2::text[])")})
    SELECT job.id, substring(bytes FOR $3) AS data, octet_length(bytes) <= $3 AS whole,
      substring(convert_to(failed_reason, 'UTF8') FOR $4) AS failed_reason,
      name, opts, priority, added_at_ms, finished_at_ms, attempts_made, stalled_count
    FROM letters JOIN job ON ${isOf("letters")},
      LATERAL (SELECT CASE WHEN $3::int > 0 THEN convert_to(data::text, 'UTF8') END AS bytes OFFSET 0) AS written`,
  pardon: `WITH letters AS MATERIALIZED (${list("unnest($2::text[])")})
    UPDATE job SET stalled_count = 0, deferred_failure = NULL, progress = $3::jsonb
    FROM letters WHERE ${isOf("letters")} AND state::text = 'failed' RETURNING job.id`,
  discard: `WITH letters AS MATERIALIZED (${list("unnest($2::text[])")}), discarded AS (
      DELETE FROM job USING letters WHERE ${isOf("letters")} AND state::text = 'failed' RETURNING job.id
    )
    SELECT publish_event($1, 'removed', jsonb_build_object('jobId', id, 'prev', 'failed')) FROM discarded`,
  clock: `SELECT ${clock} WHERE $1::text IS NOT NULL`,
  wake: `SELECT pg_notify('bullmq_jobs', $1)`
}
