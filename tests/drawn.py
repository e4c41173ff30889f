"""Workflows as the editor saves them, each with one thing that its export has to see through.

`record_converter.py` asks the editor's own page what it makes of them; the answers are in data/cases/drawn.json.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

from tiny_files import ROOT

Document = dict[str, Any]

MUTED, BYPASSED = 2, 4
INNER = "3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9a01"
OUTER = "3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9a02"
CASES: dict[str, Callable[[], Document]] = {}


class Sheet:
    """A sheet of nodes. Links are (id, output) of what they begin at; `types` tells sockets and outputs of a kind."""

    def __init__(self, infos: dict[str, Any]) -> None:
        self.infos = infos
        self.nodes: dict[Any, dict[str, Any]] = {}
        self.links: list[list[Any]] = []

    def node(
        self, id: Any, kind: str, values: Any = None, mode: int = 0, title: str = "", **links: tuple[Any, int]
    ) -> dict[str, Any]:
        """Adds a known node, with sockets for what only takes links and for what is linked."""
        told = self.infos[kind]
        inputs = {
            name: spec for group in ("required", "optional") for name, spec in told["input"].get(group, {}).items()
        }
        sockets = []
        for name, (type, *_) in inputs.items():
            is_widget = (
                isinstance(type, list) or type in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO") or "COMBO" in type
            )
            if is_widget and name not in links:
                continue
            sockets.append(
                {"name": name, "type": "COMBO" if is_widget and isinstance(type, list) else type, "link": None}
            )
            if is_widget:
                sockets[-1]["widget"] = {"name": name}
        outputs = [{"name": t if isinstance(t, str) else "COMBO", "type": t, "links": []} for t in told["output"]]
        entry = self.raw(id, kind, sockets, outputs, values, mode, title)
        for name, (source, output) in links.items():
            self.link(source, output, id, next(i for i, socket in enumerate(sockets) if socket["name"] == name))
        return entry

    def raw(
        self, id: Any, kind: str, sockets: Any, outputs: Any, values: Any = None, mode: int = 0, title: str = ""
    ) -> dict[str, Any]:
        """Adds a node as it is told."""
        place = len(self.nodes)
        self.nodes[id] = entry = {"id": id, "type": kind, "pos": [220 * (place % 6), 300 * (place // 6)]}
        entry |= {"size": [200, 100], "flags": {}, "order": place, "mode": mode, "inputs": sockets, "outputs": outputs}
        entry |= {"properties": {"Node name for S&R": kind}}
        entry |= {"widgets_values": values} if values is not None else {}
        entry |= {"title": title} if title else {}
        return entry

    def link(self, source: Any, output: int, target: Any, slot: int, type: str = "") -> int:
        """Links two nodes, or an end (-10, -20) and a node."""
        number = len(self.links) + 1
        begins = self.nodes[source]["outputs"][output] if source in self.nodes else {}
        if target in self.nodes:
            self.nodes[target]["inputs"][slot]["link"] = number
        begins.setdefault("links", []).append(number)
        self.links.append([number, source, output, target, slot, type or begins.get("type", "*")])
        return number

    def saved(self, *subgraphs: Document) -> Document:
        document = {"id": "9b2f0c1e-21f4-4d55-93d1-7a2f8c1e0b11", "revision": 0, "nodes": list(self.nodes.values())}
        document |= {"last_node_id": 900, "last_link_id": 900, "links": self.links, "groups": [], "config": {}}
        document |= {"definitions": {"subgraphs": list(subgraphs)}} if subgraphs else {}
        return copy.deepcopy(document | {"extra": {}, "version": 0.4})

    def inside(self, id: str, inputs: dict[str, str], outputs: dict[str, str], links: list[Any]) -> Document:
        """A subgraph of these nodes. links: (input of the page, node, slot), or (node, output, output of the page)."""
        ends = {
            kind: [{"id": f"{kind}-{name}", "name": name, "type": type, "linkIds": []} for name, type in told.items()]
            for kind, told in (("inputs", inputs), ("outputs", outputs))
        }
        for one, middle, last in links:
            if isinstance(one, str):
                slot = list(inputs).index(one)
                ends["inputs"][slot]["linkIds"].append(self.link(-10, slot, middle, last, inputs[one]))
            else:
                slot = list(outputs).index(last)
                ends["outputs"][slot]["linkIds"].append(self.link(one, middle, -20, slot, outputs[last]))
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        document = {"id": id, "version": 1, "revision": 0, "name": f"Inside {id[-2:]}", "config": {}, "groups": []}
        document |= {"state": {"lastGroupId": 0, "lastNodeId": 900, "lastLinkId": 900, "lastRerouteId": 0}}
        document |= {
            "inputNode": {"id": -10, "bounding": [0, 0, 1, 1]},
            "outputNode": {"id": -20, "bounding": [9, 0, 1, 1]},
        }
        document |= {"widgets": [], "nodes": list(self.nodes.values()), "extra": {}, **ends}
        return copy.deepcopy(document | {"links": [dict(zip(names, link, strict=True)) for link in self.links]})


INFOS = json.loads((ROOT / "tests" / "data" / "cases" / "infos.json").read_text())["0.33.0"]


def case(make: Callable[[], Document]) -> Callable[[], Document]:
    CASES[make.__name__] = make
    return make


def chain(sheet: Sheet, **changes: dict[str, Any]) -> Sheet:
    """The chain from a picture to a film. changes: by the names below, other settings of `Sheet.node`."""
    told: dict[str, tuple[Any, ...]] = {
        "load": (1, "StableVideoLoadCheckpoint", ["svd_nano.safetensors", "auto", "auto"], {}),
        "picture": (2, "LoadImage", ["lighthouse.png", "image"], {}),
        "fit": (3, "StableVideoFitImage", [64, 48, "crop"], {"image": (2, 0)}),
        "clip": (4, "StableVideoEncodeClip", [], {"clip": (1, 1), "image": (3, 0)}),
        "latent": (5, "StableVideoEncodeLatent", [0.02, 11, "fixed"], {"vae": (1, 2), "image": (3, 0)}),
        "condition": (6, "StableVideoCondition", [7, 110], {"embedding": (4, 0), "image_latent": (5, 0)}),
        "sample": (8, "StableVideoSample", [3, 2, 1, 2, "linear", 12, "randomize", 0.5],
                   {"model": (1, 0), "conditioning": (6, 0)}),
        "decode": (9, "StableVideoDecode", [14], {"vae": (1, 2), "latent": (8, 0)}),
        "film": (10, "CreateVideo", [7], {"images": (9, 0)}),
        "save": (11, "SaveVideo", ["clip", "auto", "auto"], {"video": (10, 0)}),
    }  # fmt: skip
    for name, (id, kind, values, links) in told.items():
        sheet.node(id, kind, **{"values": values, **links, **changes.get(name, {})})
    return sheet


def sheet() -> Sheet:
    return Sheet(INFOS)


@case
def bypassed() -> Document:
    """A node of one picture in, one picture out."""
    return chain(sheet(), fit={"mode": BYPASSED}).saved()


@case
def bypassed_twice() -> Document:
    """One behind the other, the first with two pictures to choose from."""
    s = chain(sheet(), fit={"mode": BYPASSED})
    s.node(20, "LoadImage", ["other.png", "image"])
    s.node(21, "ImageBatch", mode=BYPASSED, image1=(2, 0), image2=(20, 0))
    s.link(21, 0, 3, 0)
    return s.saved()


@case
def bypassed_with_nothing_to_hand_on() -> Document:
    """It makes a film of pictures."""
    return chain(sheet(), film={"mode": BYPASSED}).saved()


@case
def bypassed_with_a_type_elsewhere() -> Document:
    """Its second output is of the type of no input; the first has an input of another number."""
    s = chain(sheet())
    s.node(
        20,
        "StableVideoSample",
        [2, 1, 1, 2, "linear", 0, "fixed", 0],
        mode=BYPASSED,
        model=(1, 0),
        conditioning=(6, 0),
        latent=(8, 0),
    )
    s.link(20, 0, 9, 1)
    return s.saved()


@case
def muted() -> Document:
    return chain(sheet(), fit={"mode": MUTED}).saved()


@case
def muted_branch() -> Document:
    """What is muted is a preview; the film is whole."""
    s = chain(sheet())
    s.node(20, "PreviewImage", mode=MUTED, images=(9, 0))
    s.node(21, "PreviewImage", images=(2, 0))
    return s.saved()


@case
def muted_value() -> Document:
    """A widget's link begins at a muted node."""
    s = sheet()
    s.node(20, "PrimitiveInt", [77, "fixed"], mode=MUTED)
    return chain(s, latent={"seed": (20, 0)}).saved()


def primitive(s: Sheet, id: int, type: str, value: Any, control: str = "fixed", mode: int = 0, **more: Any) -> None:
    outputs = [{"name": type, "type": type, "widget": {"name": "seed"}, "links": []}]
    s.raw(id, "PrimitiveNode", [], outputs, [value, control] if control else [value], mode)
    s.nodes[id]["properties"] = {"Run widget replace on values": False, **more}


@case
def primitive_of_two_seeds() -> Document:
    s = sheet()
    primitive(s, 20, "INT", 77, "increment")
    return chain(s, latent={"seed": (20, 0)}, sample={"seed": (20, 0)}).saved()


@case
def primitive_of_a_choice() -> Document:
    s = sheet()
    primitive(s, 20, "COMBO", "pad")
    s.nodes[20]["widgets_values"] = ["pad", "fixed", ""]
    return chain(s, fit={"fit": (20, 0)}).saved()


@case
def primitive_switched_off() -> Document:
    s = sheet()
    primitive(s, 20, "INT", 77, mode=MUTED)
    primitive(s, 21, "INT", 78, mode=BYPASSED)
    return chain(s, latent={"seed": (20, 0)}, sample={"seed": (21, 0)}).saved()


@case
def core_primitives() -> Document:
    s = sheet()
    s.node(20, "PrimitiveInt", [77, "fixed"])
    s.node(21, "PrimitiveFloat", [6.0])
    s.node(22, "PrimitiveString", ["named"])
    s.node(23, "PrimitiveBoolean", [True])
    return chain(s, latent={"seed": (20, 0)}, film={"fps": (21, 0)}, save={"filename_prefix": (22, 0)}).saved()


def reroute(s: Sheet, id: int, source: tuple[int, int], type: str = "*") -> None:
    s.raw(id, "Reroute", [{"name": "", "type": "*", "link": None}], [{"name": "", "type": type, "links": []}])
    s.link(*source, id, 0)


@case
def reroutes() -> Document:
    s = chain(sheet())
    reroute(s, 20, (3, 0), "IMAGE")
    reroute(s, 21, (20, 0), "IMAGE")
    s.link(21, 0, 4, 1)
    s.link(21, 0, 5, 1)
    return s.saved()


@case
def reroute_before_a_bypassed_node() -> Document:
    s = chain(sheet(), fit={"mode": BYPASSED})
    reroute(s, 20, (2, 0), "IMAGE")
    s.link(20, 0, 3, 0)
    return s.saved()


@case
def native_reroutes() -> Document:
    """Newer editors draw them on the link itself, and keep links that hang in the air."""
    document = chain(sheet()).saved()
    picture = next(link for link in document["links"] if link[1] == 2)
    document["extra"] |= {
        "linkExtensions": [{"id": picture[0], "parentId": 1}],
        "reroutes": [{"id": 1, "pos": [100, 100], "linkIds": [picture[0]]}, {"id": 2, "pos": [9, 9], "linkIds": []}],
    }
    return document | {"floatingLinks": []}


@case
def links_with_names() -> Document:
    """As version 1 of the file has them."""
    document = chain(sheet()).saved()
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    state = {"lastGroupId": 0, "lastNodeId": 900, "lastLinkId": 900, "lastRerouteId": 0}
    links = [dict(zip(names, link, strict=True)) for link in document["links"]]
    return document | {"links": links, "version": 1, "state": state}


@case
def shorter_values() -> Document:
    changes = {"sample": {"values": [3, 2]}, "save": {"values": ["clip"]}, "film": {"values": []}}
    return chain(sheet(), **changes, load={"values": ["svd_nano.safetensors"]}).saved()


@case
def stale_sockets() -> Document:
    """Inputs of an older version of a node: linked, and a box of before."""
    s = chain(sheet())
    s.nodes[4]["inputs"].append({"name": "mask", "type": "MASK", "link": None})
    s.link(2, 1, 4, 2)
    s.nodes[6]["inputs"].append({"name": "strength", "type": "FLOAT", "link": None, "widget": {"name": "strength"}})
    return s.saved()


@case
def sockets_in_another_order() -> Document:
    s = sheet()
    s.node(20, "PrimitiveInt", [77, "fixed"])
    chain(s, latent={"seed": (20, 0)})
    s.nodes[5]["inputs"].reverse()
    for link in s.links:
        if link[3] == 5:
            link[4] = 2 - link[4]
    return s.saved()


@case
def notes() -> Document:
    s = chain(sheet())
    s.raw(20, "Note", [], [], ["a note"])
    s.raw(21, "MarkdownNote", [], [], ["# another"])
    return s.saved()


@case
def name_with_values() -> Document:
    s = sheet()
    names = "%Clever.seed%-%StableVideoSample.guidance%-%StableVideoFitImage.width%-%No.such%-%width%"
    s.node(20, "PrimitiveInt", [77, "fixed"], title="Clever")
    return chain(s, latent={"title": "Clever"}, save={"values": [names, "auto", "auto"]}).saved()


def sampler_inside(id: str = INNER, **changes: Any) -> Document:
    """Conditioning and sampler as a subgraph, with motion, seed and frames outside."""
    s = sheet()
    s.raw(30, "Reroute", [{"name": "", "type": "*", "link": None}], [{"name": "", "type": "*", "links": []}])
    s.node(31, "StableVideoCondition", [7, 110], image_latent=(30, 0))
    s.node(32, "StableVideoSample", [3, 2, 1, 2, "linear", 12, "fixed", 0.5], **{"conditioning": (31, 0), **changes})
    for node, name, type in ((31, "motion_bucket_id", "INT"), (32, "seed", "INT"), (32, "frames", "INT")):
        s.nodes[node]["inputs"].append({"name": name, "type": type, "link": None, "widget": {"name": name}})

    def slot(node: int, name: str) -> int:
        return [socket["name"] for socket in s.nodes[node]["inputs"]].index(name)

    inputs = {"model": "SVD_MODEL", "embedding": "SVD_EMBEDDING", "image_latent": "SVD_IMAGE_LATENT"}
    inputs |= {"motion": "INT", "seed": "INT", "frames": "INT"}
    links = [("model", 32, slot(32, "model")), ("embedding", 31, slot(31, "embedding")), ("image_latent", 30, 0)]
    links += [
        ("motion", 31, slot(31, "motion_bucket_id")),
        ("seed", 32, slot(32, "seed")),
        ("frames", 32, slot(32, "frames")),
    ]
    return s.inside(id, inputs, {"latent": "LATENT"}, [*links, (32, 0, "latent")])


def host(s: Sheet, id: int, kind: str, inside: Document, values: Any, mode: int = 0, **links: tuple[Any, int]) -> None:
    """The node that stands for a subgraph."""
    promoted = {"motion", "seed", "frames", "wide"}
    sockets = [{"name": end["name"], "type": end["type"], "link": None} for end in inside["inputs"]]
    for socket in sockets:
        if socket["name"] in promoted:
            socket["widget"] = {"name": socket["name"]}
    outputs = [{"name": end["name"], "type": end["type"], "links": []} for end in inside["outputs"]]
    s.raw(id, kind, sockets, outputs, values, mode)
    s.nodes[id]["properties"] = {}
    for name, source in links.items():
        s.link(*source, id, [socket["name"] for socket in sockets].index(name))


SAMPLER = {"model": (1, 0), "embedding": (4, 0), "image_latent": (5, 0)}


@case
def subgraph() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [64, 99, 4], **SAMPLER)
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def subgraph_twice() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [64, 99, 4], **SAMPLER)
    host(s, 41, INNER, inside, [32, 98, 5], **SAMPLER)
    s.link(40, 0, 9, 1)
    s.node(42, "StableVideoDecode", [14], vae=(1, 2), latent=(41, 0))
    s.node(43, "PreviewImage", images=(42, 0))
    return s.saved(inside)


@case
def subgraph_without_values() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, None, **SAMPLER)
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def subgraph_with_a_linked_value() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    s.node(20, "PrimitiveInt", [77, "fixed"])
    host(s, 40, INNER, inside, [64, 99, 4], **SAMPLER, seed=(20, 0))
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def subgraph_bypassed() -> Document:
    """None of its inputs is a latent."""
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [64, 99, 4], BYPASSED, **SAMPLER)
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def subgraph_muted() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [64, 99, 4], MUTED, **SAMPLER)
    s.link(40, 0, 9, 1)
    return s.saved(inside)


def fit_inside(mode: int = BYPASSED) -> Document:
    """A bypassed node between the two ends, and one that is not."""
    s = sheet()
    s.node(50, "StableVideoFitImage", [64, 48, "crop"], mode=mode)
    s.node(51, "StableVideoFitImage", [32, 32, "pad"])
    s.nodes[51]["inputs"].append({"name": "width", "type": "INT", "link": None, "widget": {"name": "width"}})
    links = [("image", 50, 0), ("image", 51, 0), ("wide", 51, 1), (50, 0, "same"), (51, 0, "fitted")]
    return s.inside(INNER, {"image": "IMAGE", "wide": "INT"}, {"same": "IMAGE", "fitted": "IMAGE"}, links)


@case
def subgraph_that_hands_through() -> Document:
    s, inside = chain(sheet()), fit_inside()
    host(s, 40, INNER, inside, [40], image=(2, 0))
    s.link(40, 0, 4, 1)
    s.link(40, 1, 5, 1)
    return s.saved(inside)


def nested() -> tuple[Document, Document]:
    inner = fit_inside(0)
    s = sheet()
    host(s, 60, INNER, inner, [40])
    s.node(61, "StableVideoFitImage", [16, 16, "stretch"], image=(60, 1))
    links = [("image", 60, 0), ("wide", 60, 1), (60, 0, "same"), (61, 0, "fitted")]
    outer = s.inside(OUTER, {"image": "IMAGE", "wide": "INT"}, {"same": "IMAGE", "fitted": "IMAGE"}, links)
    return inner, outer


@case
def subgraph_in_a_subgraph() -> Document:
    inner, outer = nested()
    s = chain(sheet())
    host(s, 40, OUTER, outer, [56], image=(2, 0))
    s.link(40, 0, 4, 1)
    s.link(40, 1, 5, 1)
    return s.saved(outer, inner)


@case
def subgraph_in_a_subgraph_without_values() -> Document:
    inner, outer = nested()
    s = chain(sheet())
    host(s, 40, OUTER, outer, None, image=(2, 0))
    s.link(40, 0, 4, 1)
    s.link(40, 1, 5, 1)
    return s.saved(outer, inner)


@case
def widgets_shown_outside() -> Document:
    """As editors of late 2025 promoted them: by a list, of widgets inside and of the node's own inputs."""
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [8, 64, 99, 4, 1.5], **SAMPLER)
    s.nodes[40]["properties"]["proxyWidgets"] = [
        ["32", "steps"], ["-1", "motion"], ["-1", "seed"], ["-1", "frames"], ["32", "max_guidance"]
    ]  # fmt: skip
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def widgets_shown_outside_without_values() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    host(s, 40, INNER, inside, [], **SAMPLER)
    s.nodes[40]["properties"]["proxyWidgets"] = [["32", "steps"], ["32", "seed"], ["32", "control_after_generate"]]
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def primitive_inside() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    inside = copy.deepcopy(inside)
    seed = next(link for link in inside["links"] if link["origin_id"] == -10 and link["origin_slot"] == 4)
    inside["inputs"][4]["linkIds"] = []
    seed |= {"origin_id": 33, "origin_slot": 0}
    p = Sheet(INFOS)
    primitive(p, 33, "INT", 55)
    p.nodes[33]["outputs"][0]["links"] = [seed["id"]]
    inside["nodes"].append(p.nodes[33])
    host(s, 40, INNER, inside, [64, 4], **SAMPLER)
    del s.nodes[40]["inputs"][4]["widget"]
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def primitive_into_a_subgraph() -> Document:
    s, inside = sheet(), sampler_inside()
    primitive(s, 20, "INT", 77)
    chain(s)
    host(s, 40, INNER, inside, [64, 99, 4], **SAMPLER, seed=(20, 0))
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def nested_choices() -> Document:
    """Save Video of editors since summer 2026."""
    return chain(sheet(), save={"values": ["clip", "mp4", "h264", "re-encode", 20, "sRGB", "auto"]}).saved()


@case
def values_by_name() -> Document:
    """As newest editors save them, beside the list."""
    s = chain(sheet())
    names = ["frames", "steps", "min_guidance", "max_guidance", "guidance", "seed", "control_after_generate", "churn"]
    s.nodes[8]["widgets_values_named"] = dict(zip(names, s.nodes[8]["widgets_values"], strict=True))
    return s.saved()


@case
def primitive_through_a_reroute() -> Document:
    s = sheet()
    primitive(s, 20, "INT", 77)
    reroute(s, 21, (20, 0), "INT")
    return chain(s, latent={"seed": (21, 0)}).saved()


@case
def subgraph_with_a_muted_value() -> Document:
    s, inside = chain(sheet()), sampler_inside()
    s.node(20, "PrimitiveInt", [77, "fixed"], mode=MUTED)
    host(s, 40, INNER, inside, [64, 99, 4], **SAMPLER, seed=(20, 0))
    s.link(40, 0, 9, 1)
    return s.saved(inside)


@case
def bypassed_and_not_linked() -> Document:
    s = chain(sheet())
    s.node(20, "StableVideoFitImage", [64, 48, "crop"], mode=BYPASSED)
    s.link(20, 0, 4, 1)
    return s.saved()


@case
def bypassed_in_a_subgraph_and_muted_outside() -> Document:
    s, inside = chain(sheet(), picture={"mode": MUTED}), fit_inside()
    host(s, 40, INNER, inside, [40], image=(2, 0))
    s.link(40, 0, 4, 1)
    s.link(40, 1, 5, 1)
    return s.saved(inside)
