"""The subgraph blueprint: a picture goes in, frames come out, and the settings that matter stand on one node."""

import uuid
from collections.abc import Mapping
from typing import Any

from ...headless.graph import Info
from ...headless.values import specs
from .sheet import Sheet

NAME = "SVD Image to Video"
ABOUT = "Turns a picture into the frames of a video with Stable Video Diffusion. Connect Load Image and Create Video."
SEARCHED = ["stable video diffusion", "img2vid", "i2v", "animate picture", "video", "motion"]  # beside its name
EXTRA = {"BlueprintDescription": ABOUT, "BlueprintSearchAliases": SEARCHED}
INPUT, OUTPUT = -10, -20  # the ids that the editor gives to a subgraph's two ends
SPACE = uuid.UUID("0f2a6f1e-7c34-4d0b-9d57-41a9c2b8e707")

# The settings on the outside, and the widgets inside that each one is.
OUTSIDE: dict[str, tuple[tuple[int, str], ...]] = {
    "checkpoint": ((1, "checkpoint"),),
    "width": ((3, "width"),),
    "height": ((3, "height"),),
    "motion_bucket_id": ((6, "motion_bucket_id"),),
    "fps": ((6, "fps"),),
    "noise_aug_strength": ((5, "noise_aug_strength"),),
    "frames": ((8, "frames"),),
    "steps": ((8, "steps"),),
    "max_guidance": ((8, "max_guidance"),),
    "seed": ((8, "seed"), (5, "seed")),
    "frames_per_chunk": ((9, "frames_per_chunk"),),
}


def image_to_video(infos: Mapping[str, Info]) -> dict[str, Any]:
    """The blueprint as the editor saves one: a workflow that holds the subgraph, and one node that is it."""
    inside = _inside(infos)
    id = str(uuid.uuid5(SPACE, NAME))
    inputs: list[dict[str, Any]] = [{"name": "image", "type": "IMAGE", "link": None}]
    values: list[Any] = []
    for name, widgets in OUTSIDE.items():
        node, widget = widgets[0]
        inputs.append(
            {"name": name, "type": _type(inside, infos, node, widget), "widget": {"name": name}, "link": None}
        )
        values.append(_value(inside, infos, node, widget))
    outside = {
        "id": 10,  # none of those inside, which newer editors would count anew
        "type": id,
        "pos": [0, 0],
        "size": [330, 300],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": "frames", "type": "IMAGE", "links": []}],
        "title": NAME,
        "properties": {"proxyWidgets": []},
        "widgets_values": values,
    }
    return {
        "id": str(uuid.uuid5(SPACE, "workflow")),
        "revision": 0,
        "last_node_id": 10,
        "last_link_id": 0,
        "nodes": [outside],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [_definition(id, inside, infos, inputs)]},
        "config": {},
        "extra": EXTRA,
        "version": 0.4,
    }


def _inside(infos: Mapping[str, Info]) -> Sheet:
    sheet = Sheet(str(uuid.uuid5(SPACE, "inside")), infos)
    sheet.node(1, "StableVideoLoadCheckpoint", (0, 0, 280, 122), checkpoint="svd_xt.safetensors")
    sheet.node(3, "StableVideoFitImage", (0, 260, 280, 110))
    sheet.node(4, "StableVideoEncodeClip", (355, 90, 280, 50), {"clip": (1, 1), "image": (3, 0)})
    sheet.node(5, "StableVideoEncodeLatent", (355, 240, 280, 130), {"vae": (1, 2), "image": (3, 0)})
    sheet.node(6, "StableVideoCondition", (710, 90, 270, 110), {"embedding": (4, 0), "image_latent": (5, 0)})
    sheet.node(8, "StableVideoSample", (1055, 0, 255, 290), {"model": (1, 0), "conditioning": (6, 0)})
    sheet.node(9, "StableVideoDecode", (1385, 0, 280, 80), {"vae": (1, 2), "latent": (8, 0)})
    return sheet


def _definition(id: str, inside: Sheet, infos: Mapping[str, Info], inputs: list[dict[str, Any]]) -> dict[str, Any]:
    links = [
        {"id": i, "origin_id": a, "origin_slot": b, "target_id": c, "target_slot": d, "type": t}
        for i, a, b, c, d, t in inside.document()["links"]
    ]
    ends: list[list[int]] = []
    for slot, socket in enumerate(inputs):
        targets = OUTSIDE.get(socket["name"], ((3, "image"),))
        ends.append([_lead_in(inside, links, slot, node, name, socket["type"]) for node, name in targets])
    links.append(
        {"id": len(links) + 1, "origin_id": 9, "origin_slot": 0, "target_id": OUTPUT, "target_slot": 0, "type": "IMAGE"}
    )
    inside.nodes[9]["outputs"][0]["links"].append(len(links))
    height = 20 * len(inputs)
    return {
        "id": id,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 9, "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": NAME,
        "inputNode": {"id": INPUT, "bounding": [-260, 0, 160, height + 40]},
        "outputNode": {"id": OUTPUT, "bounding": [1740, 0, 120, 60]},
        "inputs": [
            {
                "id": str(uuid.uuid5(SPACE, f"input {socket['name']}")),
                "name": socket["name"],
                "type": socket["type"],
                "linkIds": ends[slot],
                "pos": [-120, 20 + 20 * slot],
            }
            for slot, socket in enumerate(inputs)
        ],
        "outputs": [
            {
                "id": str(uuid.uuid5(SPACE, "output frames")),
                "name": "frames",
                "type": "IMAGE",
                "linkIds": [len(links)],
                "pos": [1760, 20],
            }
        ],
        "widgets": [],
        "nodes": list(inside.nodes.values()),
        "groups": [],
        "links": links,
        "extra": EXTRA,
    }


def _lead_in(inside: Sheet, links: list[dict[str, Any]], slot: int, node: int, name: str, type: str) -> int:
    """A link from the subgraph's edge to an input or a widget of a node inside. Returns its id."""
    sockets, id = inside.nodes[node]["inputs"], len(links) + 1
    if name not in [socket["name"] for socket in sockets]:
        sockets.append({"name": name, "type": type, "widget": {"name": name}, "link": None})
    (index,) = [i for i, socket in enumerate(sockets) if socket["name"] == name]
    sockets[index]["link"] = id
    links.append(
        {"id": id, "origin_id": INPUT, "origin_slot": slot, "target_id": node, "target_slot": index, "type": type}
    )
    return id


def _type(inside: Sheet, infos: Mapping[str, Info], node: int, widget: str) -> str:
    return specs(infos[inside.nodes[node]["type"]])[widget].type


def _value(inside: Sheet, infos: Mapping[str, Info], node: int, widget: str) -> Any:
    names = []
    for spec in specs(infos[inside.nodes[node]["type"]]).values():
        if spec.is_widget:
            names += [spec.name] + ["control"] * bool(spec.options.get("control_after_generate"))
    return dict(zip(names, inside.nodes[node]["widgets_values"], strict=True))[widget]
