/**
 * Asks over and over, one at a time, and sends its parent the milliseconds of each answer:
 * `answersClient.ts <url> <ms>`.
 */
import { Agent, get } from "node:http"

const [url = "", millis = ""] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true })

const ask = () =>
  new Promise<number>((resolve, reject) => {
    const began = performance.now()
    get(url, { agent }, (response) => {
      const { statusCode } = response
      if (statusCode !== 200) reject(new Error(`expected 200 of ${url}, got ${statusCode}`))
      response.on("error", reject).on("end", () => resolve(performance.now() - began)).resume()
    }).on("error", reject)
  })

const answers = new Array<number>()
const end = performance.now() + Number(millis)
while (performance.now() < end) answers.push(await ask())
agent.destroy()
process.send?.(answers)
