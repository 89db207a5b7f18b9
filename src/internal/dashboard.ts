import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { createHash } from "node:crypto"
import { script, style } from "./dashboardPage.ts"

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Without one, browsers ask the server for it. */
const icon = "data:image/svg+xml," + encodeURIComponent(
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='#15917b'><rect x='2' y='16' width='7' height='12' rx='3.5'/>"
    + "<rect x='12.5' y='9' width='7' height='19' rx='3.5'/><rect x='23' y='3' width='7' height='25' rx='3.5' opacity='.5'/></svg>"
)

/**
 * The page of the dashboard: this script, this style sheet, requests to where it came from, and
 * nothing else.
 *
 * @internal
 */
export const page = ({ asksToken, readOnly }: {
  readonly readOnly: boolean
  readonly asksToken: boolean
}): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(
    `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gofherd</title>
<link rel="icon" href="${icon}">
<style>${style}</style>
<div id="app" data-read-only="${readOnly}" data-asks-token="${asksToken}"></div>
<noscript>The dashboard needs JavaScript. The figures are also at herds and metrics, beside this page.</noscript>
<script>${script}</script>
</html>
`,
    {
      contentType: "text/html; charset=utf-8",
      headers: {
        "content-security-policy": [
          "default-src 'none'",
          `script-src ${hash(script)}`,
          `style-src ${hash(style)}`,
          "connect-src 'self'",
          "img-src data:",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'"
        ].join("; ")
      }
    }
  )
