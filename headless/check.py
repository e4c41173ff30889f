"""Everything that is wrong with a workflow, found before anything runs: one sentence for each fault.

Like the editor's queue, it looks closely only at the nodes that some output needs; of the others it asks only that
they are known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from graphlib import CycleError

from ..svd.errors import InputError
from .catalogue import Catalogue
from .core_kinds import CORE
from .graph import Graph, Info, Link, Node, fits, needed, order
from .text import printable, shortened
from .values import Spec, not_a_choice, out_of_range, specs, typed

EDITOR_ONLY = ("upload", "choose file to upload", "video-preview", "audioUI")  # boxes of its own that it exports, too
Cuts = Mapping[tuple[str, str], str]  # (node id, input) that lost its link -> the node that is switched off


@dataclass
class Review:
    """graph: what can run. problems: one sentence for each fault. notes: what is passed over, as the editor does."""

    graph: Graph
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_problems(graph: Graph, catalogue: Catalogue) -> list[str]:
    """One sentence for each fault of a workflow, naming the node; empty when the workflow can run."""
    return review(graph, catalogue).problems


def review(graph: Graph, catalogue: Catalogue, cuts: Cuts | None = None) -> Review:
    """Looks at a workflow before it runs.

    Inputs that a node does not have (any more) are left out. An output that lost its input to a node that is switched
    off is left out while another is whole.
    """
    infos = catalogue.infos
    problems = [f"{node} {_unknown(node, infos)}" for node in graph.values() if node.class_type not in infos]
    outputs = [id for id, node in graph.items() if infos.get(node.class_type, {}).get("output_node")]
    if not outputs and not problems:
        problems.append("Nothing in this workflow keeps a result; add a node such as Save Video at its end.")
    slim = {id: _slim(node, infos, catalogue) for id, node in graph.items()}
    circle = _circle(slim)
    lost = _lost(slim, outputs, infos, cuts or {})
    whole = [id for id in outputs if id not in lost]
    notes: list[str] = []
    if whole and not circle:
        notes += [f"{graph[id]} is left out: {reason}." for id, reason in lost.items()]
        outputs = whole
    else:
        problems += [f"{graph[id]}: {reason}; switch that on." for id, reason in lost.items()]
    problems += circle
    kept = needed(slim, outputs or slim)
    for id, node in kept.items():
        if node.class_type in infos:
            notes += _left_out(graph[id], node, infos)
            faults = list(_faults(node, slim, catalogue, cuts or {}))
            if not faults and (sentence := catalogue.problem(node)):
                faults = [f": {sentence}"]
            problems.extend(f"{node}{fault}" for fault in faults)
    return Review(kept, problems, notes)


def _slim(node: Node, infos: Mapping[str, Info], catalogue: Catalogue) -> Node:
    """A node with those inputs alone that nodes of its kind have."""
    if node.class_type not in infos:
        return node
    known = {*specs(infos[node.class_type], node.inputs), *catalogue.neutral(node.class_type)}
    return replace(node, inputs={name: value for name, value in node.inputs.items() if name in known})


def _left_out(whole: Node, slim: Node, infos: Mapping[str, Info]) -> Iterator[str]:
    for name in whole.inputs:
        if name not in slim.inputs and name not in EDITOR_ONLY:
            close = get_close_matches(name, specs(infos[whole.class_type]), n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            yield f'{whole} has no input "{shortened(name)}", so that is left out{hint}'


def _circle(graph: Graph) -> list[str]:
    try:
        order(graph)
    except CycleError as error:
        ids = error.args[1]
        return [f"{graph[ids[0]]} feeds itself: {' -> '.join(map(printable, ids))}; remove one of these links."]
    return []


def _unknown(node: Node, infos: Mapping[str, Info]) -> str:
    kind = shortened(node.class_type)
    if node.class_type in CORE:
        return (
            f'is of the kind "{kind}", which is the editor\'s own and runs there alone; '
            'start the editor and give it this workflow with "svd-nodes queue".'
        )
    close = get_close_matches(node.class_type, infos, n=1)
    hint = f"did you mean {close[0]}?" if close else "workflows with nodes of other packs run in the editor alone."
    return f'is of the kind "{kind}", which is not known here; {hint}'


def _lost(graph: Graph, outputs: list[str], infos: Mapping[str, Info], cuts: Cuts) -> dict[str, str]:
    """Outputs that cannot run, since something on the way to them is switched off: by id, why."""
    cut = {id: (name, by) for (id, name), by in cuts.items() if id in graph and _is_missing(graph[id], name, infos)}
    lost: dict[str, str] = {}
    for output in outputs if cut else ():
        for id in needed(graph, [output]).keys() & cut.keys():
            name, by = cut[id]
            whose = "its" if id == output else f"it needs {_lower(graph[id])}, whose"
            lost[output] = f'{whose} input "{printable(name)}" comes from {by}'
    return lost


def _is_missing(node: Node, name: str, infos: Mapping[str, Info]) -> bool:
    spec = specs(infos[node.class_type], node.inputs).get(name) if node.class_type in infos else None
    return spec is not None and spec.required and name not in node.inputs


def _faults(node: Node, graph: Graph, catalogue: Catalogue, cuts: Cuts) -> Iterator[str]:
    kind, infos = node.class_type, catalogue.infos
    known, neutral, free = specs(infos[kind], node.inputs), catalogue.neutral(kind), catalogue.checks_itself(kind)
    for name, spec in known.items():
        if name not in node.inputs:
            filled = catalogue.has_defaults(kind) and spec.is_widget and spec.default is not None
            if spec.required and not filled and (node.id, name) not in cuts:
                what = "set it" if spec.is_widget else f"connect {spec.type} to it"
                yield f': the input "{name}" is missing; {what}.'
        elif isinstance(node.inputs[name], list):
            if fault := _link_fault(node, spec, graph, infos):
                yield f': the input "{name}" {fault}.'
        elif name not in neutral and (fault := _value_fault(node, spec, name in free)):
            yield f": {name} {fault}."
    for name, allowed in neutral.items():
        value = node.inputs.get(name, allowed[0])
        if not any(value == each and type(value) is type(each) for each in allowed):
            yield f": {name} is {shortened(value)}, which the editor alone can make; choose {allowed[0]}."


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
        return f"is linked to node {shortened(link.node)}, which is not in the workflow; connect it again"
    if source.class_type not in infos:
        return None  # said already, of the source
    return _output_fault(spec, link, source, infos[source.class_type])


def _output_fault(spec: Spec, link: Link, source: Node, info: Info) -> str | None:
    outputs = info["output"]
    if not isinstance(link.output, int) or isinstance(link.output, bool) or not 0 <= link.output < len(outputs):
        which = f"output {shortened(link.output)} of {_lower(source)}"
        return f"takes {which}, which has {_count(len(outputs))}; connect it again"
    given = outputs[link.output]
    given = "COMBO" if isinstance(given, list) else given
    if fits(given, spec.type):
        return None
    return f"takes {spec.type}, but {_lower(source)} gives {given} there; connect it to {spec.type}"


def _lower(node: Node) -> str:
    return str(node).replace("Node", "node", 1)


def _count(outputs: int) -> str:
    return {0: "no outputs", 1: "only output 0"}.get(outputs, f"outputs 0 to {outputs - 1}")
