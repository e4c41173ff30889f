"""What the nodes say about themselves, as recorded in data/object_info.json. Run this file to record it anew.

Left out are the two things that depend on the place: the folder the pack lies in and the checkpoints found there.
It is what the newest editor is told. `LATER` is what older ones are not: their nodes cannot say it.
"""

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "data" / "object_info.json"

LATER = ("search_aliases", "advanced")


def without_place(info: dict[str, Any]) -> dict[str, Any]:
    """/object_info of the pack's nodes as JSON, without what depends on the place."""
    info = json.loads(json.dumps({id: {**node, "python_module": None} for id, node in info.items()}))
    info["StableVideoLoadCheckpoint"]["input"]["required"]["checkpoint"][1]["options"] = None
    return info


def without(names: set[str], told: Any) -> Any:
    """The same without those keys, at any depth."""
    if isinstance(told, dict):
        return {key: without(names, value) for key, value in told.items() if key not in names}
    return [without(names, each) for each in told] if isinstance(told, list) else told


def standalone() -> dict[str, Any]:
    """The same, as the standalone host derives it."""
    from svd_nodes.nodes import NODES

    return without_place({node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES})


if __name__ == "__main__":
    RECORD.write_text(json.dumps(standalone(), indent=1) + "\n")
