import { Effect } from "effect"
import { join } from "node:path"
import { type SourceName, sources } from "./fixtures/sources.ts"
import { folder } from "./utils/children.ts"
import { durableContract } from "./utils/durableContract.ts"
import { sourceContract } from "./utils/sourceContract.ts"
import { sqliteNode } from "./utils/sqliteNode.ts"
import type { Subject } from "./utils/stores.ts"

const drivers: Readonly<Record<string, { readonly source: SourceName; readonly skipped: boolean }>> = {
  "libsql": { source: "libsql", skipped: false },
  "better-sqlite3": { source: "betterSqlite3", skipped: sqliteNode() === undefined }
}

for (const [driver, { skipped, source }] of Object.entries(drivers)) {
  const sqlite: Subject = {
    name: `SQLite by ${driver}`,
    programs: true,
    skipped,
    store: Effect.map(folder, (dir) => {
      const path = join(dir, "units.db")
      return { layer: sources[source](path), program: [source, path] }
    })
  }
  sourceContract(sqlite)
  durableContract(sqlite)
}
