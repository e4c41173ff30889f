/** What the panels ask for: the server's estimates, and the size of a picture. */

const REMEMBERED = 32

export class Page {
  constructor(document, api) {
    this.document = document
    this.api = api
    this.answers = new Map()
    this.pictures = new Map()
  }

  /** Tells the server whether this page wants moving previews. */
  askForClips(wanted) {
    const body = JSON.stringify({ client: this.api.clientId, wanted })
    return this.api.fetchApi("/svd-nodes/previews", { method: "POST", body })
  }

  /** The server's estimate; undefined where there is no question or no answer. */
  answer(query) {
    if (!query) return Promise.resolve(undefined)
    return remembered(this.answers, query, async () => {
      const reply = await this.api.fetchApi(`/svd-nodes/estimate?${query}`)
      return reply.ok ? reply.json() : undefined
    })
  }

  /** After a run its times are known. */
  forget() {
    this.answers.clear()
  }

  /** {width, height} of the picture that a loading node holds; undefined for other nodes. */
  picture(node) {
    const name = node?.comfyClass === "LoadImage" && node.widgets?.find((widget) => widget.name === "image")?.value
    if (typeof name !== "string" || !name) return Promise.resolve(undefined)
    return remembered(this.pictures, name, () => this.measure(name))
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
}

/** What was found before, or else what `find` finds. A failure is not remembered, and counts as nothing found. */
function remembered(found, key, find) {
  if (!found.has(key)) {
    if (found.size >= REMEMBERED) found.delete(found.keys().next().value)
    found.set(
      key,
      find().catch(() => {
        found.delete(key)
      }),
    )
  }
  return found.get(key)
}
