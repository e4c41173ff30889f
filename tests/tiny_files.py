"""Small files that the headless tests share."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svd_nodes.svd.checkpoint import save
from svd_nodes.tools.random_checkpoint import preset_models

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ROOT / "workflows"


def checkpoint(folder: Path, name: str = "tiny.safetensors") -> Path:
    """A tiny checkpoint of random weights."""
    save(preset_models("tiny"), folder / name)
    return folder / name


def picture(path: Path, width: int = 40, height: int = 30, mode: str = "RGB", **settings: Any) -> Path:
    """A picture of coloured noise."""
    array = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    Image.fromarray(array, "RGBA").convert(mode).save(path, **settings)
    return path


def tiny_workflow(name: str, checkpoint: Path, image: Path) -> dict[str, Any]:
    """A saved workflow, at a size that runs in a second."""
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    small = {"checkpoint": str(checkpoint), "image": str(image), "width": 32, "height": 24, "frames": 3, "steps": 2}
    for node in prompt.values():
        node["inputs"] |= {
            k: v for k, v in small.items() if k in node["inputs"] and not isinstance(node["inputs"][k], list)
        }
    return prompt
