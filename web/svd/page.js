/** What the panels ask for: words, the server's estimates, what checkpoints are good at, and the size of a picture. */

const REMEMBERED = 32
const PATIENCE = 10_000 // ms until a question that got no answer is asked again

export class Page {
  /** say: a text in the page's language, as `Words` has it. */
  constructor(document, api, say, now = Date.now) {
    this.document = document
    this.api = api
    this.say = say
    this.now = now
    this.answers = new Map()
    this.pictures = new Map()
  }

  /** Tells the server whether this page wants moving previews, and whether it shows the inside of a subgraph. */
  askForClips(wanted, inside) {
    const body = JSON.stringify({ client: this.api.clientId, wanted, inside })
    return this.api.fetchApi("/svd-nodes/previews", { method: "POST", body })
  }

  /** The server's estimate; undefined where there is no question or no answer. */
  answer(query) {
    return query ? this.asked(`estimate?${query}`) : Promise.resolve(undefined)
  }

  /** What a checkpoint is at its best with, as svd/recommended.py has it; undefined where it is not known. */
  recommended(checkpoint) {
    return checkpoint ? this.asked(`recommended?${new URLSearchParams({ checkpoint })}`) : Promise.resolve(undefined)
  }

  asked(question) {
    return this.remembered(this.answers, question, async () => {
      const reply = await this.api.fetchApi(`/svd-nodes/${question}`)
      if (!reply.ok) throw new Error(reply.status) // a file that is not there yet, say
      return reply.json()
    })
  }

  /** What the server knows may have changed: after a run its times are known, and files come and go. */
  forget() {
    this.answers.clear()
    this.pictures.clear()
  }

  /** {width, height} of the picture that a loading node holds; undefined for other nodes. */
  picture(node) {
    const name = node?.comfyClass === "LoadImage" && node.widgets?.find((widget) => widget.name === "image")?.value
    if (typeof name !== "string" || !name) return Promise.resolve(undefined)
    return this.remembered(this.pictures, name, () => this.measure(name))
  }

  async measure(name) {
    const [, path, folder] = name.match(/^(.*?)(?: \[(\w+)\])?$/)
    const cut = path.lastIndexOf("/") + 1
    const place = { filename: path.slice(cut), subfolder: path.slice(0, Math.max(0, cut - 1)), type: folder ?? "input" }
    const picture = this.document.createElement("img")
    picture.src = this.api.apiURL(`/view?${new URLSearchParams(place)}`)
    await picture.decode()
    return { width: picture.naturalWidth, height: picture.naturalHeight }
  }

  /** What was found before, or else what `find` finds. A failure counts as nothing found, for a while. */
  remembered(found, key, find) {
    if (!(found.get(key)?.until > this.now())) {
      if (found.size >= REMEMBERED) found.delete(found.keys().next().value)
      const entry = { until: Number.POSITIVE_INFINITY }
      entry.result = find().catch(() => {
        entry.until = this.now() + PATIENCE
      })
      found.set(key, entry)
    }
    return found.get(key).result
  }
}
