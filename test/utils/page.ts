/**
 * What is to be seen on a page of the dashboard.
 */
import axe from "axe-core"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import { until } from "./browser.ts"

/** The figure of a card. */
export const value = (page: Page, card: string) =>
  page.locator(".card", { has: page.getByText(card, { exact: true }) }).locator("b").innerText()

/** Waits until it is the figure of that card. */
export const shows = (page: Page, card: string, expected: string | RegExp) =>
  Effect.promise(() =>
    until(() => value(page, card), (text) => typeof expected === "string" ? text === expected : expected.test(text))
  )

/** What axe finds wrong: rule, and where. */
export const violations = (page: Page) =>
  Effect.promise(async () => {
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
    return violations.map(({ id, impact, nodes }) =>
      `${id} (${impact}): ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`
    )
  })
