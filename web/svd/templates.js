/** The order of the pack's templates in the editor's list, which takes them as the server's disk happens to list them. */

const FIRST = "quickstart"

/** answer: names of templates by their pack; ours by name, the one for beginners first. Others stay as they are. */
export function inOrder(answer, pack) {
  const ours = answer?.[pack]
  if (!Array.isArray(ours)) return answer
  const rank = (name) => (name === FIRST ? "" : name)
  return { ...answer, [pack]: [...ours].sort((a, b) => (rank(a) < rank(b) ? -1 : 1)) }
}

/** Has `api` tell our templates in order. */
export function order(api, pack) {
  const { getWorkflowTemplates } = api
  if (!getWorkflowTemplates) return
  api.getWorkflowTemplates = async (...asked) => inOrder(await getWorkflowTemplates.apply(api, asked), pack)
}
