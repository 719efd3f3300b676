// Medusa's client, as npm has it, against this API: API and KEY are in the environment.
const assert = require("node:assert/strict")
const Medusa = require("@medusajs/medusa-js").default

const baseUrl = process.env.API
const medusa = new Medusa({ baseUrl, maxRetries: 1, apiKey: process.env.KEY })
const { batchJobs, uploads } = medusa.admin

async function upload(text) {
  // the client's own upload needs a browser
  const form = new FormData()
  form.append("files", new Blob([text]), "goods.csv")
  const headers = { "x-medusa-access-token": process.env.KEY }
  const answer = await fetch(`${baseUrl}/admin/uploads/protected`, { method: "POST", headers, body: form })
  assert.equal(answer.status, 200)
  return (await answer.json()).uploads[0]
}

async function until(id, status) {
  for (;;) {
    const { batch_job } = await batchJobs.retrieve(id)
    assert.notEqual(batch_job.status, "failed", JSON.stringify(batch_job.result))
    if (batch_job.status === status) return batch_job
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const refused = (promise, status) => assert.rejects(promise, (error) => error.response.status === status)

async function main() {
  const file = await upload("sku,title\nA1,Mug\nA2,Plate\n")
  const context = { file_key: file.key, table: "goods", mode: "upsert", key: ["sku"] }

  // an import: look first, then say yes
  const created = await batchJobs.create({ type: "table-import", context, dry_run: true })
  assert.equal(created.response.status, 201)
  assert.equal(created.batch_job.status, "created")
  assert.equal(created.batch_job.result, null)
  const looked = await until(created.batch_job.id, "pre_processed")
  assert.equal(looked.result.count, 2)
  assert.ok(looked.result.stat_descriptors.some((line) => line.message.includes("2 rows will be created")))
  const confirmed = await batchJobs.confirm(looked.id)
  assert.equal(confirmed.batch_job.status, "confirmed")
  const imported = await until(looked.id, "completed")
  assert.equal(imported.result.advancement_count, 2)
  assert.match(imported.completed_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

  // an export, and its file by a link
  const exporting = await batchJobs.create({ type: "table-export", context: { table: "goods" }, dry_run: false })
  const exported = await until(exporting.batch_job.id, "completed")
  const { download_url } = await uploads.getPresignedDownloadUrl({ file_key: exported.result.file_key })
  assert.equal(await (await fetch(download_url)).text(), "sku,title\nA1,Mug\nA2,Plate\n")

  // one that is not wanted after all
  const unwanted = await batchJobs.create({ type: "table-export", context: { table: "goods" }, dry_run: true })
  await until(unwanted.batch_job.id, "pre_processed")
  assert.equal((await batchJobs.cancel(unwanted.batch_job.id)).batch_job.status, "canceled")
  assert.equal((await batchJobs.cancel(unwanted.batch_job.id)).batch_job.status, "canceled")

  // lists
  const all = await batchJobs.list()
  assert.deepEqual([all.count, all.offset, all.limit, all.batch_jobs.length], [3, 0, 10, 3])
  const filtered = await batchJobs.list({
    type: ["table-export"], completed_at: null, created_at: { gt: new Date(0).toISOString() }, limit: 5,
  })
  assert.deepEqual(filtered.batch_jobs.map((job) => job.id), [unwanted.batch_job.id])
  const oldest = await batchJobs.list({ order: "created_at", limit: 1, expand: "created_by_user" })
  assert.equal(oldest.batch_jobs[0].id, created.batch_job.id)
  assert.equal(oldest.batch_jobs[0].created_by_user.id, oldest.batch_jobs[0].created_by)
  assert.equal((await batchJobs.list({ id: [exported.id] })).count, 1)

  // the upload can go, twice
  for (const _ of [1, 2]) assert.equal((await uploads.delete({ file_key: file.key })).deleted, true)

  // what is wrong
  await refused(batchJobs.create({ type: "nothing", context: {} }), 404)
  await refused(batchJobs.create({ type: "table-export" }), 400)
  await refused(batchJobs.retrieve("batch_none"), 404)
  await refused(batchJobs.confirm(exported.id), 409)
  await refused(batchJobs.list({ colour: "red" }), 400)
  await refused(new Medusa({ baseUrl, maxRetries: 0, apiKey: "wrong" }).admin.batchJobs.list(), 401)
  console.log("the whole scenario")
}

main().catch((error) => {
  console.error(error.response ? [error.response.status, error.response.data] : error)
  process.exit(1)
})
