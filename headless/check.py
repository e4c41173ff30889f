"""Everything that is wrong with a workflow, found before anything runs: one sentence for each fault.

Like the editor's queue, it looks closely only at the nodes that some output needs; of the others it asks only that
they are known.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError

from ..svd.errors import InputError
from .catalogue import Catalogue
from .graph import Graph, Info, Link, Node, needed, order
from .values import Spec, not_a_choice, out_of_range, specs, typed

EDITOR_ONLY = ("upload", "video-preview", "audioUI")  # boxes of the editor's own that it exports with the real inputs


def find_problems(graph: Graph, catalogue: Catalogue) -> list[str]:
    """One sentence for each fault of a workflow, naming the node; empty when the workflow can run."""
    infos = catalogue.infos
    problems = [f"{node} {_unknown(node, infos)}" for node in graph.values() if node.class_type not in infos]
    outputs = [id for id, node in graph.items() if infos.get(node.class_type, {}).get("output_node")]
    if not outputs and not problems:
        problems.append("Nothing in this workflow keeps a result; add a node such as Save Video at its end.")
    problems += _circle(graph)
    for node in needed(graph, outputs or graph).values():
        if node.class_type in infos:
            faults = list(_faults(node, graph, infos, catalogue.checks_itself(node.class_type)))
            if not faults and (sentence := catalogue.problem(node)):
                faults = [f": {sentence}"]
            problems.extend(f"{node}{fault}" for fault in faults)
    return problems


def _circle(graph: Graph) -> list[str]:
    try:
        order(graph)
    except CycleError as error:
        ids = error.args[1]
        return [f"{graph[ids[0]]} feeds itself: {' -> '.join(ids)}; remove one of these links."]
    return []


def _unknown(node: Node, infos: Mapping[str, Info]) -> str:
    close = get_close_matches(node.class_type, infos, n=1)
    hint = f"did you mean {close[0]}?" if close else "workflows with nodes of other packs run in the editor alone."
    return f'is of the kind "{node.class_type}", which is not known here; {hint}'


def _faults(node: Node, graph: Graph, infos: Mapping[str, Info], free: set[str]) -> Iterator[str]:
    known = specs(infos[node.class_type])
    for name, spec in known.items():
        if name not in node.inputs:
            if spec.required:
                what = "set it" if spec.is_widget else f"connect {spec.type} to it"
                yield f': the input "{name}" is missing; {what}.'
        elif isinstance(node.inputs[name], list):
            if fault := _link_fault(node, spec, graph, infos):
                yield f': the input "{name}" {fault}.'
        elif fault := _value_fault(node, spec, name in free):
            yield f": {name} {fault}."
    for name in node.inputs:
        if name not in known and name not in EDITOR_ONLY:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}" if close else f"it has {', '.join(known) or 'no inputs'}"
            yield f': it has no input "{name}"; {hint}.'


def _value_fault(node: Node, spec: Spec, checked_by_node: bool) -> str | None:
    if not spec.is_widget:
        return f"is a plain value, but it takes {spec.type}; connect it to a node that gives that"
    try:
        value = typed(spec, node.inputs[spec.name])
    except InputError as clause:
        return str(clause)
    return out_of_range(spec, value) or (None if checked_by_node else not_a_choice(spec, value))


def _link_fault(node: Node, spec: Spec, graph: Graph, infos: Mapping[str, Info]) -> str | None:
    link = node.links.get(spec.name)
    if link is None:
        return "is linked by a list that is not [node id, output index]; export the workflow again"
    source = graph.get(link.node)
    if source is None:
        return f"is linked to node {link.node}, which is not in the workflow; connect it again"
    if source.class_type not in infos:
        return None  # said already, of the source
    return _output_fault(spec, link, source, infos[source.class_type])


def _output_fault(spec: Spec, link: Link, source: Node, info: Info) -> str | None:
    outputs = info["output"]
    if not isinstance(link.output, int) or isinstance(link.output, bool) or not 0 <= link.output < len(outputs):
        return f"takes output {link.output} of {_lower(source)}, which has {_count(len(outputs))}; connect it again"
    given = outputs[link.output]
    given = "COMBO" if isinstance(given, list) else given
    if "*" in (given, spec.type) or set(given.split(",")) & set(spec.type.split(",")):
        return None
    return f"takes {spec.type}, but {_lower(source)} gives {given} there; connect it to {spec.type}"


def _lower(node: Node) -> str:
    return str(node).replace("Node", "node", 1)


def _count(outputs: int) -> str:
    return {0: "no outputs", 1: "only output 0"}.get(outputs, f"outputs 0 to {outputs - 1}")
