import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { test } from "node:test"
import { ENGLISH, LANGUAGES, Words } from "../../web/svd/words.js"

const FOLDER = new URL("../../web/svd/words/", import.meta.url)
const read = async (name) => JSON.parse(await readFile(new URL(name, FOLDER), "utf8"))
const gaps = (text) => (text.match(/\{\w+\}/g) ?? []).sort()
const SAME = { es: ["memory", "memory_of", "seconds", "minutes", "hours"] } // in Spanish it is the same, or nearly

test("every language has a file, and every file a language", async () => {
  assert.deepEqual((await readdir(FOLDER)).sort(), LANGUAGES.map((language) => `${language}.json`).sort())
})

for (const language of LANGUAGES) {
  test(`${language} has every text, with the same gaps`, async () => {
    const table = await read(`${language}.json`)
    assert.deepEqual(Object.keys(table), Object.keys(ENGLISH))
    for (const [name, text] of Object.entries(table)) {
      assert.deepEqual(gaps(text), gaps(ENGLISH[name]), name)
      if (!SAME[language]?.includes(name)) assert.notEqual(text, ENGLISH[name], name)
    }
  })
}

test("gaps are filled, in the language that is spoken", async () => {
  const words = new Words(read)
  assert.equal(words.say("told_fps", { fps: 6 }), "the model is told fps 6")
  await words.speak("es")
  assert.equal(words.say("told_fps", { fps: 6 }), "el modelo recibe fps 6")
  await words.speak("fr")
  assert.equal(words.say("presets_usual"), "usual")
})

test("English where a language cannot be had", async () => {
  const words = new Words(() => Promise.reject(new Error("offline")))
  await words.speak("ja")
  assert.equal(words.say("presets_usual"), "usual")
})

test("of two languages that are chosen quickly the last one counts", async () => {
  const arrive = {}
  const words = new Words((name) => new Promise((resolve) => Object.assign(arrive, { [name]: resolve })))
  const spoken = [words.speak("zh"), words.speak("ja")]
  arrive["ja.json"](await read("ja.json"))
  arrive["zh.json"](await read("zh.json"))
  await Promise.all(spoken)
  assert.equal(words.say("presets_usual"), "一般的")
})
