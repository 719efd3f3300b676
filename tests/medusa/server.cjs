// Medusa, as `medusa start` runs it, but for this machine only and with one user who may log in.
const express = require("express")
const load = require("@medusajs/medusa/dist/loaders").default

const { EMAIL, PASSWORD, PORT } = process.env

async function main() {
  const app = express()
  const { container, shutdown } = await load({ directory: __dirname, expressApp: app })
  await container.resolve("userService").create({ email: EMAIL }, PASSWORD)
  const server = app.listen(Number(PORT), "127.0.0.1")
  process.once("SIGTERM", () => server.close(() => shutdown().then(() => process.exit(0))))
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
