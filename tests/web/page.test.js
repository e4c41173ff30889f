import assert from "node:assert/strict"
import { test } from "node:test"
import { Page } from "../../web/svd/page.js"

function fake({ ok = true, fails = false } = {}) {
  const asked = []
  const clock = { ms: 0 }
  const api = {
    clientId: "me",
    apiURL: (path) => `/api${path}`,
    async fetchApi(path, request) {
      asked.push([path, request?.body])
      if (fails) throw new TypeError("offline")
      return { ok, status: ok ? 200 : 400, json: async () => ({ path }) }
    },
  }
  const pictures = []
  const document = {
    createElement() {
      const picture = { naturalWidth: 30, naturalHeight: 20, decode: async () => pictures.push(picture.src) }
      return picture
    },
  }
  const say = (name) => name
  return { asked, pictures, clock, page: new Page(document, api, say, () => clock.ms) }
}

test("an answer is asked for once, until it is forgotten", async () => {
  const { asked, page } = fake()
  assert.deepEqual(await page.answer("a=1"), { path: "/svd-nodes/estimate?a=1" })
  await page.answer("a=1")
  assert.equal(asked.length, 1)
  page.forget()
  await page.answer("a=1")
  assert.equal(asked.length, 2)
  assert.equal(await page.answer(undefined), undefined)
})

test("what a checkpoint is good at is asked for by its name, as it is", async () => {
  const { asked, page } = fake()
  assert.deepEqual(await page.recommended("a/b & c.safetensors"), {
    path: "/svd-nodes/recommended?checkpoint=a%2Fb+%26+c.safetensors",
  })
  assert.equal(await page.recommended(undefined), undefined)
  await page.recommended("a/b & c.safetensors")
  assert.equal(asked.length, 1)
})

for (const [why, kind] of [
  ["refused", { ok: false }],
  ["lost", { fails: true }],
]) {
  test(`a question that was ${why} is asked again after a while, not at once`, async () => {
    const { asked, clock, page } = fake(kind)
    for (const ms of [0, 5_000, 9_999]) {
      clock.ms = ms
      assert.equal(await page.answer("a=1"), undefined)
      assert.equal(asked.length, 1)
    }
    clock.ms = 10_001
    await Promise.all([page.answer("a=1"), page.answer("a=1")])
    assert.equal(asked.length, 2)
    page.forget()
    await page.answer("a=1")
    assert.equal(asked.length, 3)
  })
}

test("an answer that was given stays", async () => {
  const { asked, clock, page } = fake()
  await page.answer("a=1")
  clock.ms = 1e9
  await page.answer("a=1")
  assert.equal(asked.length, 1)
})

test("no more than a bounded number of answers is kept", async () => {
  const { page } = fake()
  for (let i = 0; i < 100; i++) await page.answer(`a=${i}`)
  assert.equal(page.answers.size, 32)
})

test("a picture's size, wherever the loading node took it from", async () => {
  const { page, pictures } = fake()
  const loading = (value) => ({ comfyClass: "LoadImage", widgets: [{ name: "image", value }] })
  assert.deepEqual(await page.picture(loading("sub/a b.png")), { width: 30, height: 20 })
  await page.picture(loading("c.png [output]"))
  assert.deepEqual(pictures, [
    "/api/view?filename=a+b.png&subfolder=sub&type=input",
    "/api/view?filename=c.png&subfolder=&type=output",
  ])
  assert.equal(await page.picture({ comfyClass: "EmptyImage", widgets: [] }), undefined)
  assert.equal(await page.picture(undefined), undefined)
})

test("the server is told whether clips are wanted", async () => {
  const { asked, page } = fake()
  await page.askForClips(true, false)
  assert.deepEqual(asked, [["/svd-nodes/previews", '{"client":"me","wanted":true,"inside":false}']])
})
