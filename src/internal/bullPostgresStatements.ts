/**
 * Statements on BullMQ's tables, for what it has no function for, or none that leaves units in their places. `$1` is the queue. BullMQ claims by
 * `priority` and `seq`: a job that is put back keeps its own, and one whose time has come gets the next one.
 *
 * Rows are updated by both parts of their key, out of lists that are made before: before a table has been analyzed, PostgreSQL takes a queue for a
 * row or two, and would look through all of it for each.
 *
 * @internal
 */
export const statements = {
  promote: `WITH first AS MATERIALIZED (
      SELECT queue, id FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2
      ORDER BY process_at_ms, seq LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), due AS MATERIALIZED (
      SELECT queue, id, nextval('job_seq') AS seq FROM first
    ), promoted AS (
      UPDATE job SET state = 'waiting', delay_ms = 0, seq = due.seq FROM due WHERE job.queue = due.queue AND job.id = due.id
      RETURNING job.id
    )
    SELECT publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'delayed')) FROM promoted`,
  next: `SELECT min(process_at_ms) AS at FROM job WHERE queue = $1 AND state = 'delayed'`,
  look: `SELECT
      (SELECT count(*) FROM (SELECT FROM job WHERE queue = $1 AND state = 'waiting' LIMIT $3) AS first) AS waiting,
      (SELECT count(*) FROM (SELECT FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2 LIMIT $3) AS first) AS due,
      (SELECT min(process_at_ms) FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms > $2) AS next,
      (SELECT value FROM meta WHERE queue = $1 AND field = 'concurrency') AS bound,
      (SELECT count(*) FROM meta WHERE queue = $1 AND field = 'paused' AND value = '1') AS paused,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'active') AS active`,
  // $2 and $3: ids and locks of those that are done; $4: locks to claim others with. BullMQ itself has to see to a bound and to a rate limit.
  step: `WITH given AS MATERIALIZED (
      SELECT $1::text AS queue, unnest($2::text[]) AS id, unnest($3::text[]) AS lock
    ), held AS MATERIALIZED (
      SELECT job.queue, job.id FROM given JOIN job ON job.queue = given.queue AND job.id = given.id
      WHERE lock_token = given.lock AND state = 'active' FOR UPDATE OF job
    ), done AS (
      UPDATE job SET state = 'completed', return_value = 'null', finished_at_ms = $5, lock_token = NULL, locked_until_ms = NULL,
        attempts_made = attempts_made + 1
      FROM held WHERE job.queue = held.queue AND job.id = held.id
        AND job.parent_id IS NULL AND dedup_id IS NULL AND scheduler_id IS NULL
        AND NOT EXISTS (
          SELECT FROM job_dependency AS child WHERE child.parent_queue = job.queue AND child.parent_id = job.id
        )
      RETURNING job.id
    ), open AS (
      SELECT count(*) FILTER (WHERE field <> 'paused') > 0 AS limited, count(*) > 0 AS shut FROM meta
      WHERE queue = $1 AND (field IN ('concurrency', 'max') OR field = 'paused' AND value = '1')
    ), ready AS MATERIALIZED (
      SELECT queue, id FROM job WHERE queue = $1 AND state = 'waiting' ORDER BY priority, seq
      LIMIT CASE WHEN (SELECT shut FROM open) THEN 0 ELSE cardinality($4::text[]) END FOR UPDATE SKIP LOCKED
    ), picked AS MATERIALIZED (
      SELECT queue, id, ($4::text[])[row_number() OVER ()] AS lock FROM ready
    ), claimed AS (
      UPDATE job SET state = 'active', lock_token = picked.lock, locked_until_ms = $5::bigint + $6::bigint, processed_at_ms = $5,
        processed_by = NULL, attempts_started = attempts_started + 1
      FROM picked WHERE job.queue = picked.queue AND job.id = picked.id
      RETURNING job.id, lock_token, data, opts, progress, priority, added_at_ms, attempts_made, stalled_count, deferred_failure
    ), told AS (
      SELECT publish_event($1, 'completed', jsonb_build_object('jobId', id, 'returnvalue', 'null', 'prev', 'active')) FROM done
      UNION ALL SELECT publish_event($1, 'active', jsonb_build_object('jobId', id, 'prev', 'waiting')) FROM claimed
    )
    SELECT
      (SELECT limited FROM open) AS limited,
      (SELECT count(*) FROM told) AS told,
      ARRAY(SELECT id FROM held) AS held,
      ARRAY(SELECT id FROM done) AS done,
      coalesce((SELECT jsonb_agg(claimed) FROM claimed), '[]') AS claimed`,
  drained: `SELECT publish_event($1, 'drained', '{}')
    WHERE NOT EXISTS (SELECT FROM job WHERE queue = $1 AND state IN ('active', 'waiting'))`,
  release: `WITH given AS MATERIALIZED (
      SELECT $1::text AS queue, unnest($2::text[]) AS id, unnest($3::text[]) AS lock
    ), back AS (
      UPDATE job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL, stalled_marked = false
      FROM given WHERE job.queue = given.queue AND job.id = given.id AND lock_token = given.lock AND state = 'active'
      RETURNING job.id
    )
    SELECT id, publish_event($1, 'waiting', jsonb_build_object('jobId', id, 'prev', 'active')), pg_notify('bullmq_jobs', $1)
    FROM back`,
  // Those that have crashed for the last time stay active, for the lock that buries them.
  recover: `WITH lapsed AS MATERIALIZED (
      SELECT queue, id, stalled_count + 1 >= $3 AS doomed FROM job
      WHERE queue = $1 AND state = 'active' AND locked_until_ms < $2 FOR UPDATE SKIP LOCKED
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
    WHERE queue = $1 AND id = $2 AND lock_token = $3 AND state = 'active'`,
  // The first of each priority, up to 100.
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
      UNION ALL SELECT min(process_at_ms) FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2
    )
    SELECT
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'waiting') AS waiting,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms <= $2) AS due,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'delayed' AND process_at_ms > $2) AS delayed,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'active') AS held,
      (SELECT count(*) FROM job WHERE queue = $1 AND state = 'failed') AS dead,
      (SELECT min(at) FROM ready) AS oldest`,
  pardon: `UPDATE job SET stalled_count = 0, deferred_failure = NULL, progress = $3::jsonb
    WHERE queue = $1 AND id = ANY($2::text[]) AND state = 'failed' RETURNING id`,
  discard: `WITH discarded AS (
      DELETE FROM job WHERE queue = $1 AND id = ANY($2::text[]) AND state = 'failed' RETURNING id
    )
    SELECT publish_event($1, 'removed', jsonb_build_object('jobId', id, 'prev', 'failed')) FROM discarded`,
  wake: `SELECT pg_notify('bullmq_jobs', $1)`
}
