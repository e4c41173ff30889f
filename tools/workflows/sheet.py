"""A workflow in the editor's form, built node by node: links by name, and the way each wire takes round the nodes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...headless.graph import Info
from ...headless.values import specs

Point = tuple[int, int]
Source = tuple[int, int]  # (node id, output index)

# What the editor keeps in widgets_values beside a node's own inputs.
EXTRA_WIDGETS = {"LoadImage": ["image"]}
MODEL_FILES = {
    "svd_xt.safetensors": "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt/resolve/main/"
    "svd_xt.safetensors",
    "sd_xl_base_1.0.safetensors": "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/"
    "sd_xl_base_1.0.safetensors",
}
MARGIN = 60, 152  # pixels of the window: newer editors lay a side bar and two rows of bars over the drawing
BLUE, GREEN, GOLD, ROSE = "#3f789e", "#8A8", "#b58b2a", "#A88"


@dataclass
class Sheet:
    """One workflow. `infos` tells the inputs and outputs of every kind of node, as the editor's /object_info does."""

    id: str
    infos: Mapping[str, Info]
    scale: float = 0.72
    nodes: dict[int, dict[str, Any]] = field(default_factory=dict)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    reroutes: list[dict[str, Any]] = field(default_factory=list)
    chains: dict[int, int] = field(default_factory=dict)  # link -> its last reroute
    app: dict[str, Any] = field(default_factory=dict)  # what app mode reads of `extra`

    def node(
        self,
        id: int,
        kind: str,
        box: Sequence[int],
        links: Mapping[str, Source] | None = None,
        title: str = "",
        **values: Any,
    ) -> int:
        """Adds a node in `box` (x, y, width, height). Widgets that `values` leaves out have their defaults."""
        info, links = self.infos[kind], links or {}
        widgets = [spec for spec in specs(info).values() if spec.is_widget]
        if unknown := set(values) - {spec.name for spec in widgets}:
            raise ValueError(f"{kind} has no widget called {', '.join(sorted(unknown))}.")
        shown: list[Any] = []
        for spec in widgets:
            shown.append(_plain(values.get(spec.name, spec.options.get("default", next(iter(spec.choices), "")))))
            shown += ["fixed"] if spec.options.get("control_after_generate") else []
        self.nodes[id] = {
            **self._frame(id, kind, box, title, [*shown, *EXTRA_WIDGETS.get(kind, [])]),
            "inputs": [self._socket(id, i, spec, links) for i, spec in enumerate(_sockets(info))],
            "outputs": [
                {"name": name, "type": type, "slot_index": i, "links": []}
                for i, (name, type) in enumerate(zip(info["output_name"], info["output"], strict=True))
            ],
            "properties": {"Node name for S&R": kind} | _models(shown),
        }
        return id

    def note(self, id: int, box: Sequence[int], text: str) -> None:
        """Adds a note in Markdown."""
        frame = self._frame(id, "MarkdownNote", box, "Read me", [text])
        self.nodes[id] = frame | {"properties": {}, "color": "#432", "bgcolor": "#653"}

    def group(self, title: str, box: Sequence[int], color: str) -> None:
        """Draws a named frame round the nodes in `box`."""
        id = len(self.groups) + 1
        self.groups.append(
            {"id": id, "title": title, "bounding": list(box), "color": color, "font_size": 24, "flags": {}}
        )

    def route(self, target: int, name: str, *points: Point) -> None:
        """Leads the wire into an input of `target` through `points`. Wires from one output share those in common."""
        (link,) = [socket["link"] for socket in self.nodes[target]["inputs"] if socket["name"] == name]
        parent = None
        for point in points:
            parent = self._reroute(self._link(link)[1:3], parent, point)
            parent["linkIds"].append(link)
        if parent:
            self.chains[link] = parent["id"]

    def form(self, fields: Mapping[tuple[int, str], dict[str, Any]], output: int) -> None:
        """Opens the workflow as a form of these widgets, each (node, name), beside what node `output` has saved.

        What a field may say of itself: `description`, and the `height` of its picture in pixels. Its name is the
        widget's, in the user's language. Read by editors with app mode (front end 1.41.13); others show the graph.
        """
        inputs = [[node, name, about] for (node, name), about in fields.items()]
        self.app = {"linearData": {"inputs": inputs, "outputs": [output]}, "linearMode": True}

    def document(self) -> dict[str, Any]:
        """The workflow as the editor saves it."""
        for order, node in enumerate(self.nodes.values()):
            node["order"] = order
        for id, source, output, *_ in self.links:
            self.nodes[source]["outputs"][output]["links"].append(id)
        extra: dict[str, Any] = {"ds": {"scale": self.scale, "offset": [round(side / self.scale) for side in MARGIN]}}
        if self.reroutes:
            extra["linkExtensions"] = [{"id": link, "parentId": last} for link, last in sorted(self.chains.items())]
            extra["reroutes"] = [{k: v for k, v in each.items() if k != "source"} for each in self.reroutes]
        extra |= self.app
        return {
            "id": self.id,
            "revision": 0,
            "last_node_id": max(self.nodes),
            "last_link_id": len(self.links),
            "nodes": list(self.nodes.values()),
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": extra,
            "version": 0.4,
        }

    @staticmethod
    def _frame(id: int, kind: str, box: Sequence[int], title: str, values: list[Any]) -> dict[str, Any]:
        x, y, width, height = box
        place = {"id": id, "type": kind, "pos": [x, y], "size": [width, height], "flags": {}, "order": 0, "mode": 0}
        place |= (
            {"title": title} if title else {}
        )  # without one, the editor shows the node's name in the user's language
        return place | {"inputs": [], "outputs": [], "properties": {}, "widgets_values": values}

    def _socket(self, id: int, slot: int, spec: Any, links: Mapping[str, Source]) -> dict[str, Any]:
        link = None
        if spec.name in links:
            link = len(self.links) + 1
            self.links.append([link, *links[spec.name], id, slot, spec.type])
        optional = {} if spec.required else {"shape": 7}
        return {"name": spec.name, "type": spec.type, **optional, "link": link}

    def _link(self, id: int) -> list[Any]:
        return self.links[id - 1]

    def _reroute(self, source: list[int], parent: dict[str, Any] | None, point: Point) -> dict[str, Any]:
        after = {} if parent is None else {"parentId": parent["id"]}
        for known in self.reroutes:
            if (
                known["source"] == source
                and known["pos"] == list(point)
                and known.get("parentId") == after.get("parentId")
            ):
                return known
        new = {"id": len(self.reroutes) + 1, "pos": list(point), "linkIds": [], "source": source, **after}
        self.reroutes.append(new)
        return new


def _plain(value: Any) -> Any:
    """A number as the editor writes it: 3, not 3.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sockets(info: Info) -> list[Any]:
    return [spec for spec in specs(info).values() if not spec.is_widget]


def _models(values: Sequence[Any]) -> dict[str, Any]:
    """Where the editor says a missing file comes from."""
    found = [{"name": v, "url": MODEL_FILES[v], "directory": "checkpoints"} for v in values if v in MODEL_FILES]
    return {"models": found} if found else {}


def write(path: Path, document: Mapping[str, Any], indent: int) -> None:
    """JSON as the repository keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
