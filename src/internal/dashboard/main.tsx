import { render } from "preact"
import { App } from "./App.tsx"
import { hasToken, takeTokenFromAddress } from "./connection.ts"

takeTokenFromAddress()
const app = document.getElementById("app")
if (app !== null) {
  const { asksToken, readOnly } = app.dataset
  render(<App readOnly={readOnly === "true"} asksToken={asksToken === "true" && !hasToken()} />, app)
}
