import { isSetUp } from "./sqliteConnection.ts"

/**
 * The version of the tables.
 *
 * @internal
 */
export const VERSION = 1

/**
 * Each state has an index of its own, which holds the rows that are in it: so that claiming costs
 * the same with ten rows and with ten million. `place` is when a unit was, or will be, ready; among
 * units of the same millisecond `seq` decides. `claims` counts every claim, and with `owner` tells
 * each from any other; `attempts` does not count those that were released.
 *
 * @internal
 */
export const tables = [
  "CREATE TABLE IF NOT EXISTS gofherd_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
  `INSERT INTO gofherd_meta (key, value) VALUES ('version', ${VERSION}) ON CONFLICT DO NOTHING`,
  `CREATE TABLE IF NOT EXISTS gofherd_units (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    herd TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    priority REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'delayed', 'held', 'done', 'dead')),
    place INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    lease_until INTEGER,
    first_failure_at INTEGER,
    ended_at INTEGER,
    cause TEXT,
    UNIQUE (herd, id)
  ) STRICT`,
  `CREATE INDEX IF NOT EXISTS gofherd_ready ON gofherd_units (herd, priority DESC, place, seq) WHERE state = 'ready'`,
  `CREATE INDEX IF NOT EXISTS gofherd_delayed ON gofherd_units (herd, place) WHERE state = 'delayed'`,
  `CREATE INDEX IF NOT EXISTS gofherd_held ON gofherd_units (herd, lease_until) WHERE state = 'held'`,
  `CREATE INDEX IF NOT EXISTS gofherd_done ON gofherd_units (herd, ended_at) WHERE state = 'done'`,
  `CREATE INDEX IF NOT EXISTS gofherd_dead ON gofherd_units (herd, ended_at, seq) WHERE state = 'dead'`,
  // To count a million rows would hold the event loop up for 50 ms; to keep the counts costs a
  // tenth of what a unit does.
  `CREATE TABLE IF NOT EXISTS gofherd_counts (
    herd TEXT NOT NULL,
    state TEXT NOT NULL,
    units INTEGER NOT NULL,
    PRIMARY KEY (herd, state)
  ) STRICT, WITHOUT ROWID`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_inserted AFTER INSERT ON gofherd_units BEGIN
    INSERT INTO gofherd_counts VALUES (NEW.herd, NEW.state, 1) ON CONFLICT DO UPDATE SET units = units + 1;
  END`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_updated AFTER UPDATE OF state ON gofherd_units WHEN OLD.state <> NEW.state BEGIN
    UPDATE gofherd_counts SET units = units - 1 WHERE herd = OLD.herd AND state = OLD.state;
    INSERT INTO gofherd_counts VALUES (NEW.herd, NEW.state, 1) ON CONFLICT DO UPDATE SET units = units + 1;
  END`,
  `CREATE TRIGGER IF NOT EXISTS gofherd_deleted AFTER DELETE ON gofherd_units BEGIN
    UPDATE gofherd_counts SET units = units - 1 WHERE herd = OLD.herd AND state = OLD.state;
  END`
]

/** Dead letters since before a time, up to a number of them. */
const all = "SELECT seq FROM gofherd_units WHERE herd = ? AND state = 'dead' AND ended_at <= ? LIMIT ?"

/** Dead letters by their ids: the plus keeps SQLite from looking through all of them. */
const some = `SELECT seq FROM gofherd_units
      WHERE herd = ? AND id IN (SELECT value FROM json_each(?)) AND +state = 'dead'`

const redrive = (letters: string): string =>
  `UPDATE gofherd_units SET state = 'ready', place = ?, attempts = 0, crashes = 0, first_failure_at = NULL
    WHERE seq IN (${letters}) AND ${isSetUp} RETURNING 1 AS value`

const discard = (letters: string): string =>
  `DELETE FROM gofherd_units WHERE seq IN (${letters}) AND ${isSetUp} RETURNING 1 AS value`

/**
 * What is asked of them.
 *
 * @internal
 */
export const statements = {
  // The latest time that was written down, other than those to come. By the last row, and by each
  // herd's indices.
  seen: `SELECT max(
      coalesce((SELECT place FROM gofherd_units WHERE seq = (SELECT max(seq) FROM gofherd_units) AND state <> 'delayed'), 0),
      coalesce((
        SELECT max(max(
          coalesce((SELECT max(ended_at) FROM gofherd_units WHERE herd = herds.herd AND state = 'done'), 0),
          coalesce((SELECT max(ended_at) FROM gofherd_units WHERE herd = herds.herd AND state = 'dead'), 0)
        )) FROM (SELECT DISTINCT herd FROM gofherd_counts) AS herds
      ), 0)
    ) AS value`,
  boot: `INSERT INTO gofherd_meta (key, value) SELECT ?, ? WHERE ${isSetUp} ON CONFLICT DO NOTHING`,
  offset: "SELECT value FROM gofherd_meta WHERE key = ?",
  offer: `INSERT INTO gofherd_units (herd, id, body, priority, state, place)
    SELECT ?, value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?) WHERE ${isSetUp}
    ON CONFLICT (herd, id) DO NOTHING`,
  // Settles some claims, and makes others. A settlement that is repeated does the same once more,
  // as long as nobody has taken the row: its owner stays for that.
  work: `UPDATE gofherd_units SET
      state = s.state,
      place = coalesce(s.at, place),
      owner = ?,
      lease_until = ?,
      attempts = attempts + (s.state = 'held') - (s.state = 'ready' AND gofherd_units.state = 'held'),
      claims = claims + (s.state = 'held'),
      first_failure_at = coalesce(s.failed_at, first_failure_at),
      cause = coalesce(s.why, cause),
      body = iif(s.state = 'done', '', body),
      ended_at = ?
    FROM (
      SELECT CAST(value->>0 AS INTEGER) AS seq, CAST(value->>1 AS INTEGER) AS claim, value->>2 AS state, value->>3 AS at,
        value->>4 AS failed_at, value->>5 AS why FROM json_each(?)
      UNION ALL
      SELECT * FROM (
        SELECT seq, NULL, 'held', NULL, NULL, NULL FROM gofherd_units
        WHERE herd = ? AND state = 'ready' ORDER BY priority DESC, place, seq LIMIT ?
      )
    ) AS s
    WHERE gofherd_units.seq = s.seq AND (s.claim IS NULL OR claims = s.claim AND owner = ?) AND ${isSetUp}
    RETURNING CAST(seq AS TEXT) AS seq, state, id, iif(state = 'held', body, '') AS body, priority, place, attempts, claims,
      first_failure_at`,
  renew: `UPDATE gofherd_units SET lease_until = ? FROM json_each(?) AS s
    WHERE seq = s.value->>0 AND claims = s.value->>1 AND owner = ? AND state = 'held' AND ${isSetUp}
    RETURNING CAST(seq AS TEXT) AS seq`,
  ready: `SELECT 1 FROM gofherd_units WHERE herd = ? AND state = 'ready' LIMIT 1`,
  due: `UPDATE gofherd_units SET state = 'ready' WHERE seq IN (
      SELECT seq FROM gofherd_units WHERE herd = ? AND state = 'delayed' AND place <= ? ORDER BY place LIMIT ?
    ) AND ${isSetUp} RETURNING 1 AS value`,
  owners: `SELECT DISTINCT owner FROM gofherd_units WHERE herd = ? AND state = 'held' AND owner <> ?`,
  lapsed:
    `SELECT CAST(seq AS TEXT) AS seq, claims FROM gofherd_units WHERE herd = ? AND state = 'held' AND lease_until <= ?`,
  recover: `UPDATE gofherd_units SET
      state = iif(crashes + 1 >= ?, 'dead', 'ready'),
      crashes = crashes + 1,
      owner = NULL,
      ended_at = ?,
      cause = iif(crashes + 1 >= ?, ?, cause)
    WHERE herd = ? AND state = 'held' AND (
      owner IN (SELECT value FROM json_each(?))
      OR lease_until <= ? AND seq IN (SELECT CAST(value AS INTEGER) FROM json_each(?))
    ) AND ${isSetUp}`,
  releaseAll: `UPDATE gofherd_units SET state = 'ready', attempts = attempts - 1, owner = NULL
    WHERE herd = ? AND state = 'held' AND owner = ? AND ${isSetUp}`,
  forgettable: `SELECT 1 FROM gofherd_units WHERE herd = ? AND state = 'done' AND ended_at <= ? LIMIT 1`,
  forget: `DELETE FROM gofherd_units WHERE seq IN (
      SELECT seq FROM gofherd_units WHERE herd = ? AND state = 'done' AND ended_at <= ? ORDER BY ended_at LIMIT ?
    ) AND ${isSetUp}`,
  working:
    `SELECT 1 FROM gofherd_counts WHERE herd = ? AND state IN ('ready', 'delayed', 'held') AND units > 0 LIMIT 1`,
  counts: "SELECT state, units FROM gofherd_counts WHERE herd = ?",
  // The first of each priority, of which there are few, and not all of all of them.
  oldest: `WITH RECURSIVE first (priority, place) AS (
      SELECT * FROM (
        SELECT priority, place FROM gofherd_units WHERE herd = ? AND state = 'ready' ORDER BY priority DESC, place LIMIT 1
      )
      UNION ALL
      SELECT
        (SELECT max(priority) FROM gofherd_units WHERE herd = ? AND state = 'ready' AND priority < first.priority),
        (SELECT place FROM gofherd_units WHERE herd = ? AND state = 'ready' AND priority < first.priority
          ORDER BY priority DESC, place LIMIT 1)
      FROM first WHERE first.priority IS NOT NULL
    )
    SELECT min(place) AS oldest FROM first`,
  // By the index alone.
  page: `SELECT CAST(seq AS TEXT) AS seq FROM gofherd_units
    WHERE herd = ? AND state = 'dead' ORDER BY ended_at DESC, seq DESC LIMIT ? OFFSET ?`,
  list: `SELECT CAST(seq AS TEXT) AS seq, id, substr(body, 1, ?) AS body, priority, attempts, crashes, cause, ended_at
    FROM gofherd_units
    WHERE seq IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) AND state = 'dead'`,
  redriveAll: redrive(all),
  redriveSome: redrive(some),
  discardAll: discard(all),
  discardSome: discard(some)
}
