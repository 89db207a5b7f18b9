/**
 * What is in deploy/, as far as it can be tried without Docker and Grafana. That the dashboard's
 * and the alerts' expressions have data is in prometheus.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join, posix } from "node:path"
import { parse } from "yaml"
import { folder, freePort, start } from "./utils/children.ts"
import { dashboard, panels } from "./utils/dashboard.ts"
import { ask } from "./utils/http.ts"
import { find } from "./utils/programs.ts"
import { promtool } from "./utils/promtool.ts"
import { hasRedis, Redis, redis } from "./utils/servers.ts"
import { until } from "./utils/stage.ts"

const root = new URL("..", import.meta.url).pathname
const deploy = join(root, "deploy")
const read = (path: string) => readFileSync(join(deploy, path), "utf8")

interface Service {
  readonly image?: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<string>
  readonly secrets?: ReadonlyArray<string>
  readonly profiles?: ReadonlyArray<string>
  readonly depends_on?: ReadonlyArray<string>
}

const compose: {
  readonly services: Readonly<
    Record<"herd" | "shop" | "worker" | "redis" | "prometheus" | "grafana", Service>
  >
  readonly volumes: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, { readonly environment: string }>>
} = parse(read("compose.yaml"), { merge: true })
const services: ReadonlyArray<readonly [name: string, service: Service]> = Object.entries(compose.services)

const prometheus: {
  readonly rule_files: ReadonlyArray<string>
  readonly scrape_configs: readonly [{
    readonly authorization: { readonly credentials_file: string }
    readonly static_configs: readonly [{ readonly targets: ReadonlyArray<string> }]
    readonly dns_sd_configs: readonly [
      { readonly names: ReadonlyArray<string>; readonly type: string; readonly port: number }
    ]
  }]
  readonly global: { readonly scrape_interval: string }
} = parse(read("prometheus/prometheus.yml"))
const [job] = prometheus.scrape_configs

const rules: ReadonlyArray<{
  readonly alert: string
  readonly for: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}> = parse(read("prometheus/rules.yml")).groups.flatMap((group: { readonly rules: unknown }) => group.rules)

/**
 * The path in the repository that is found at a path in a container; `undefined` if it is not from
 * the repository.
 */
const mounted = (service: Service, path: string): string | undefined => {
  for (const volume of service.volumes ?? []) {
    const [from = "", to = ""] = volume.split(":")
    if (from.startsWith("./") && (path === to || path.startsWith(`${to}/`))) {
      return join(deploy, from, path.slice(to.length))
    }
  }
  return undefined
}

describe("compose.yaml", () => {
  it("publishes ports on the loopback only, and none of what is for the other services", () => {
    for (const [name, { ports = [] }] of services) {
      assert.strictEqual(ports.length, name === "worker" || name === "redis" ? 0 : 1, name)
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name)
    }
  })

  it("names nothing that isn't there", () => {
    const { herd } = compose.services
    const context = join(deploy, herd.build?.context ?? "")
    assert.strictEqual(join(context, "/"), root)
    assert.isTrue(existsSync(join(context, herd.build?.dockerfile ?? "nothing")))
    for (const [name, { depends_on: needed = [], image, profiles, secrets = [], volumes = [] }] of services) {
      for (const service of needed) {
        assert.deepStrictEqual(services.find(([name]) => name === service)?.[1].profiles, profiles, name)
      }
      if (image !== undefined) assert.match(image, /^[a-z/]+:v?\d+\.\d+\.\d+$/, name)
      for (const secret of secrets) assert.property(compose.secrets, secret, name)
      for (const volume of volumes) {
        const [from = "", to = "", mode] = volume.split(":")
        assert.isTrue(posix.isAbsolute(to), volume)
        if (from.startsWith(".")) {
          assert.isTrue(existsSync(join(deploy, from)), volume)
          assert.strictEqual(mode, "ro", volume)
        } else {
          assert.property(compose.volumes, from, volume)
        }
      }
    }
  })

  it("takes secrets from .env, which git ignores and whose example names exactly those that it needs", () => {
    const needed = Array.from(new Set(Array.from(read("compose.yaml").matchAll(/\$\{(\w+):\?/g), ([, name]) => name)))
    const named = Array.from(read(".env.example").matchAll(/^(\w+)=(.*)$/gm), ([, name, value]) => [name, value])
    assert.deepStrictEqual(named, needed.map((name) => [name, ""]))
    for (const { environment } of Object.values(compose.secrets)) assert.include(needed, environment)
    assert.include(readFileSync(join(root, ".gitignore"), "utf8").split("\n"), "/deploy/.env")
  })

  it("lets nobody resize a herd who has no token, though it listens on every address of its container", () => {
    const { herd, shop, worker } = compose.services
    for (const { environment = {} } of [herd, shop, worker]) {
      assert.strictEqual(environment["GOFHERD_HOST"], "0.0.0.0")
      assert.match(environment["GOFHERD_TOKEN"] ?? "", /^\$\{GOFHERD_TOKEN:\?.+\}$/)
    }
    assert.include((herd.environment?.["GOFHERD_ALLOWED_HOSTS"] ?? "").split(","), "herd")
    // Their addresses are known to nobody beforehand.
    for (const { environment = {} } of [shop, worker]) assert.notProperty(environment, "GOFHERD_ALLOWED_HOSTS")
  })

  it("has a fleet behind a profile: a shop of size 0, workers, and a Redis that keeps what it is given", () => {
    const { redis, shop, worker } = compose.services
    for (const { profiles } of [redis, shop, worker]) assert.deepStrictEqual(profiles, ["fleet"])
    assert.deepStrictEqual([shop.environment?.["ORDERS_SIZE"], worker.environment?.["ORDERS_PER_SECOND"]], ["0", "0"])
    for (const { depends_on: needed, environment } of [shop, worker]) {
      assert.deepStrictEqual(needed, ["redis"])
      assert.strictEqual(environment?.["ORDERS_REDIS"], "redis://redis:6379")
    }
    const command = redis.command?.join(" ") ?? ""
    assert.include(command, "--appendonly yes")
    assert.include(command, "--maxmemory-policy noeviction")
    assert.deepStrictEqual(redis.volumes, ["redis:/data"])
    const [found] = job.dns_sd_configs
    assert.deepStrictEqual(found, {
      names: ["shop", "worker"],
      type: "A",
      port: Number(worker.environment?.["GOFHERD_PORT"])
    })
    assert.deepStrictEqual(shop.ports, [`127.0.0.1:2113:${shop.environment?.["GOFHERD_PORT"]}`])
  })

  it("brings the parts together: herd, Prometheus, Grafana", () => {
    const { grafana, herd, prometheus: service } = compose.services
    const port = herd.environment?.["GOFHERD_PORT"]
    assert.deepStrictEqual(job.static_configs[0].targets, [`herd:${port}`])
    assert.deepStrictEqual(herd.ports, [`127.0.0.1:${port}:${port}`])
    const secret = service.secrets?.[0] ?? assert.fail("expected a secret, got none")
    assert.strictEqual(job.authorization.credentials_file, `/run/secrets/${secret}`)
    assert.strictEqual(compose.secrets[secret]?.environment, "GOFHERD_TOKEN")
    const config = service.command?.find((argument) => argument.startsWith("--config.file="))?.split("=")[1] ?? ""
    assert.strictEqual(mounted(service, config), join(deploy, "prometheus/prometheus.yml"))

    const provisioning = "/etc/grafana/provisioning"
    const sources = mounted(grafana, `${provisioning}/datasources/prometheus.yaml`) ?? ""
    const [source] = parse(readFileSync(sources, "utf8")).datasources
    assert.deepInclude(source, { type: "prometheus", url: "http://prometheus:9090", isDefault: true })
    assert.strictEqual(source.jsonData.timeInterval, prometheus.global.scrape_interval)
    const providers = mounted(grafana, `${provisioning}/dashboards/gofherd.yaml`) ?? ""
    const [provider] = parse(readFileSync(providers, "utf8")).providers
    const dashboards = mounted(grafana, provider.options.path)
    assert.strictEqual(dashboards, join(deploy, "grafana/dashboards"))
    const home = grafana.environment?.["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] ?? ""
    assert.strictEqual(mounted(grafana, home), join(deploy, "grafana/dashboards/gofherd.json"))
  })
})

describe("the image", () => {
  const dockerfile = read("Dockerfile")
  const image: ReadonlyArray<string> = JSON.parse(/^CMD (\[.+\])$/m.exec(dockerfile)?.[1] ?? "[]")

  /** Where the files are that it would have. */
  const built = Effect.gen(function*() {
    const dir = yield* folder
    const [, build = "", out = ""] = /^RUN npx (esbuild .+) --outdir=(\S+)$/m.exec(dockerfile) ?? []
    assert.match(dockerfile, new RegExp(`^COPY --from=build /app/${out} /app$`, "m"))
    const [command = "", ...args] = build.split(" ")
    const bundling = yield* start(join(root, "node_modules/.bin", command), [...args, `--outdir=${dir}`])
    assert.strictEqual(yield* bundling.ended, 0, bundling.stderr())
    return dir
  })

  /** A command of the image that serves. */
  const serve = ([command, file = ""]: ReadonlyArray<string>, files: string, environment?: Service["environment"]) =>
    Effect.gen(function*() {
      assert.strictEqual(command, "node")
      const port = yield* freePort
      const service = yield* start(process.execPath, [join(files, posix.relative("/app", file))], {
        ...environment,
        GOFHERD_HOST: "127.0.0.1",
        GOFHERD_PORT: String(port),
        GOFHERD_TOKEN: "s3cret"
      })
      yield* until(Effect.sync(() => service.stdout().includes("serving"))).pipe(Effect.timeout("10 seconds"))
      const metrics = (name: string) =>
        Effect.map(
          ask(`http://127.0.0.1:${port}/metrics`, {
            headers: { host: `${name}:${port}`, authorization: "Bearer s3cret" }
          }),
          ({ status, text }) => {
            assert.strictEqual(status, 200, name)
            return text
          }
        )
      return { ...service, metrics }
    })

  it("is built of what is let through to it, on a Node that the package supports", () => {
    const ignored = read("Dockerfile.dockerignore").trim().split("\n")
    assert.strictEqual(ignored[0], "*")
    for (const [, , sources = ""] of dockerfile.matchAll(/^COPY (?!--from)((.+) \S+)$/gm)) {
      for (const source of sources.split(" ")) {
        assert.isTrue(existsSync(join(root, source)), source)
        assert.include(ignored, `!${source}`)
      }
    }
    const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    for (const [, major] of dockerfile.matchAll(/^FROM node:(\d+)-slim/gm)) {
      assert.strictEqual(major, /^>=(\d+)/.exec(engines.node)?.[1])
    }
    assert.match(dockerfile, /^USER node$/m)
  })

  it.scopedLive(
    "has a file that serves the herd with the environment of the compose file, until SIGTERM",
    () =>
      Effect.gen(function*() {
        const files = yield* built
        const { herd } = compose.services
        const service = yield* serve(herd.command ?? image, files, herd.environment)
        // As Prometheus asks, and as an operator does.
        for (const name of ["herd", "localhost", "127.0.0.1"]) {
          const text = yield* service.metrics(name)
          assert.match(text, new RegExp(`^gofherd_size\\{herd="orders"\\} ${herd.environment?.["ORDERS_SIZE"]}$`, "m"))
        }
        service.child.kill("SIGTERM")
        assert.strictEqual(yield* service.ended, 0, service.stderr())
      }),
    30_000
  )

  it.scopedLive.skipIf(!hasRedis)(
    "has a file of which a shop and workers are a fleet, with the environments of the compose file: each asked at its address, none missed",
    () =>
      Effect.gen(function*() {
        const files = yield* built
        const { url } = Context.get(yield* Layer.build(redis), Redis)
        const run = ({ command = [], environment }: Service) =>
          serve(command, files, { ...environment, ORDERS_REDIS: url })
        const shop = yield* run(compose.services.shop)
        const workers = [yield* run(compose.services.worker), yield* run(compose.services.worker)]
        const done = (text: string) => Number(/^gofherd_success_total\{herd="orders"\} (\d+)$/m.exec(text)?.[1] ?? 0)
        for (const worker of workers) yield* until(Effect.map(worker.metrics("172.18.0.7"), (text) => done(text) > 5))
        assert.strictEqual(done(yield* shop.metrics("172.18.0.6")), 0)
        for (const { child, ended, stderr } of [...workers, shop]) {
          child.kill("SIGTERM")
          assert.strictEqual(yield* ended, 0, stderr())
        }
      }),
    60_000
  )
})

describe.skipIf(find("promtool") === undefined)("Prometheus' files", () => {
  it.scoped("pass promtool check config, with the secret in its place", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      cpSync(join(deploy, "prometheus"), dir, { recursive: true })
      const { credentials_file: file } = job.authorization
      writeFileSync(join(dir, "token"), "s3cret")
      writeFileSync(join(dir, "prometheus.yml"), read("prometheus/prometheus.yml").replace(file, join(dir, "token")))
      const { output, status } = promtool(["check", "config", join(dir, "prometheus.yml")])
      assert.strictEqual(status, 0, output)
      assert.match(output, /1 rule files found[^]*8 rules found/)
    }))

  it("pass promtool check rules and promtool test rules", () => {
    const check = promtool(["check", "rules", "rules.yml"], "", join(deploy, "prometheus"))
    assert.strictEqual(check.status, 0, check.output)
    const test = promtool(["test", "rules", "rules.test.yml"], "", join(deploy, "prometheus"))
    assert.strictEqual(test.status, 0, test.output)
  })
})

describe("the alerts", () => {
  it("are eight, each with a time, a severity, a summary and a description", () => {
    assert.sameMembers(rules.map(({ alert }) => alert), [
      "HerdFailing",
      "HerdStuck",
      "HerdBacklogGrowing",
      "HerdRetriesRising",
      "HerdSourceFailing",
      "HerdSourceBacklogGrowing",
      "HerdDeadLetters",
      "HerdLeasesLost"
    ])
    for (const { alert, annotations, for: time, labels } of rules) {
      assert.match(time, /^\d+m$/, alert)
      assert.include(["warning", "critical"], labels["severity"], alert)
      for (const text of [annotations["summary"], annotations["description"]]) {
        assert.include(text, "{{ $labels.herd }}", alert)
      }
    }
  })

  it("are in the README as they are", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8")
    for (const { alert, for: time, labels } of rules) {
      const row = new RegExp(
        `^\\| \`${alert}\` \\| ${labels["severity"]} \\| .*for ${parseInt(time)} minutes.* \\|$`,
        "m"
      )
      assert.match(readme, row)
    }
  })

  it("each fire in one of promtool's tests, and do not in another", () => {
    const tests: ReadonlyArray<{
      readonly alert_rule_test: ReadonlyArray<
        { readonly alertname: string; readonly exp_alerts: ReadonlyArray<unknown> }
      >
    }> = parse(read("prometheus/rules.test.yml")).tests
    const checks = tests.flatMap(({ alert_rule_test: checks }) => checks)
    for (const { alert } of rules) {
      const expected = checks.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length)
      assert.include(expected, 1, alert)
      assert.include(expected, 0, alert)
    }
  })
})

describe("the dashboard", () => {
  it("has panels that don't overlap, within 24 columns, with ids of their own", () => {
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { gridPos: one, id, title } of panels) {
      assert.isAtMost(one.x + one.w, 24, title)
      for (const { gridPos: two, id: other, title: overlapped } of panels) {
        const overlap = one.x < two.x + two.w && two.x < one.x + one.w && one.y < two.y + two.h && two.y < one.y + one.h
        assert.isTrue(id === other || !overlap, `${title} overlaps ${overlapped}`)
      }
    }
  })

  it("says of each panel what it shows and in which unit, and asks the chosen source about the chosen herds", () => {
    const variables = dashboard.templating.list.map(({ name }) => name)
    assert.deepStrictEqual(variables, ["datasource", "herd"])
    assert.strictEqual(dashboard.templating.list[1]?.definition, "label_values(gofherd_size, herd)")
    for (const { datasource, description = "", fieldConfig, targets = [], title, type } of panels) {
      if (type === "row") continue
      assert.isAbove(description.length, 10, title)
      assert.isString(fieldConfig?.defaults.unit, title)
      assert.isAbove(targets.length, 0, title)
      assert.strictEqual(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
      for (const { datasource: source, expr } of targets) {
        assert.deepStrictEqual([datasource?.uid, source.uid], ["${datasource}", "${datasource}"], title)
        assert.include(expr, "{herd=~\"$herd\"}", title)
        for (const [, window] of expr.matchAll(/\[(.*?)\]/g)) assert.strictEqual(window, "$__rate_interval", title)
      }
    }
  })

  it("shows every metric of a herd, and every figure of the process that changes", () => {
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join("\n")
    for (const module of ["HerdMetrics", "HerdSourceMetrics"]) {
      const metrics = Array.from(readFileSync(join(root, `src/${module}.ts`), "utf8").matchAll(/"(gofherd_\w+)"/g))
      assert.isAtLeast(metrics.length, 4, module)
      for (const [, name = ""] of metrics) assert.include(expressions, name)
    }
    for (const name of ["eventloop_lag", "resident_memory", "heap_size_used", "cpu_seconds", "open_fds"]) {
      assert.include(expressions, name)
    }
  })
})
