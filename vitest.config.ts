import { defineConfig } from "vitest/config"

const src = new URL("./src/", import.meta.url).pathname

export default defineConfig({
  resolve: {
    alias: [
      { find: /^gofherd$/, replacement: `${src}index.ts` },
      { find: /^gofherd\/(.*)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/utils/programs.ts",
    setupFiles: "test/utils/equality.ts",
    // The dashboard's scripts run in Chromium, which tells nothing of them.
    coverage: {
      include: ["src/**/*.ts"],
      exclude: ["src/internal/dashboard/**", "src/internal/dashboardPage.ts"],
      reporter: ["text"],
      reportsDirectory: "reports/coverage"
    }
  }
})
