import { render } from "preact"
import { App } from "./App.tsx"
import { takeTokenFromAddress } from "./connection.ts"

takeTokenFromAddress()
const app = document.getElementById("app")
if (app !== null) render(<App readOnly={app.dataset["readOnly"] === "true"} />, app)
