"""Answers questions about the pack from inside a checkout: run by its own Python, in its folder, with no server.

Takes main.py's options, and on its input {"question": ..., "dynamic_vram": true or false, "answer": a file to write}.
The pack is loaded from `custom_nodes` as the editor loads it. All that is the editor's is reached through main.py.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import main  # it reads the options and imports comfy, as when it is run itself
import torch
from torch.nn.modules import module as hooks

Stage = Callable[[], Any]


def load_pack() -> None:
    """Loads the one pack as the editor does at its start."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    main.server.PromptServer(loop)
    (home,) = main.folder_paths.get_folder_paths("custom_nodes")
    loop.run_until_complete(main.nodes.load_custom_node(str(Path(home) / "svd-nodes"), module_parent="custom_nodes"))


def execute(kind: str, *inputs: Any) -> Any:
    """What a node gives: its one output, or a tuple of several."""
    outputs = main.nodes.NODE_CLASS_MAPPINGS[f"StableVideo{kind}"].execute(*inputs).args
    return outputs[0] if len(outputs) == 1 else outputs


def chain(seed: int = 1) -> dict[str, tuple[Stage, dict[str, Any]]]:
    """The nodes that work for long, each as a function with nothing left to give it; and where the results go."""
    model, clip, vae = execute("LoadCheckpoint", "svd_tiny.safetensors", "auto")
    image = execute("FitImage", torch.rand(1, 60, 80, 3, generator=torch.Generator().manual_seed(seed)), 64, 48, "crop")
    made: dict[str, Any] = {}

    def conditioning() -> Any:
        return execute("Condition", made["EncodeClip"], made["EncodeLatent"], 7, 127)

    stages: dict[str, Stage] = {
        "EncodeClip": lambda: execute("EncodeClip", clip, image),
        "EncodeLatent": lambda: execute("EncodeLatent", vae, image, 0.02, seed),
        "Sample": lambda: execute("Sample", model, conditioning(), 3, 2, 1.0, 3.0, "linear", seed),
        "Decode": lambda: execute("Decode", vae, made["Sample"], 14),
    }
    return {name: (stage, made) for name, stage in stages.items()}


def clip() -> list[float]:
    """The pixels of a clip, all of them."""
    for name, (stage, made) in chain().items():
        made[name] = stage()
    return made["Decode"].flatten().tolist()


def imports() -> list[str]:
    """What loading the pack has imported beside the pack."""
    before = set(sys.modules)
    load_pack()
    return sorted(name for name in set(sys.modules) - before if "svd-nodes" not in name)


def cancelled() -> dict[str, list[str]]:
    """Of each node that works for long: the layers that still ran after cancel was pressed in the middle of it."""
    found = {}
    for name, (stage, made) in chain().items():
        layers: list[torch.nn.Module] = []
        with hooked(hooks.register_module_forward_hook, lambda layer, *_, ran=layers: ran.append(layer)):
            made[name] = stage()
        found[name] = after_cancel(stage, layers[len(layers) // 2])
    return found


def after_cancel(stage: Stage, middle: torch.nn.Module) -> list[str]:
    """The layers that run after cancel was pressed as `middle` began."""
    pressed, ran = [], []

    def press(layer: torch.nn.Module, *_: Any) -> None:
        if layer is middle and not pressed:
            pressed.append(layer)
            main.comfy.model_management.interrupt_current_processing()

    def note(layer: torch.nn.Module, *_: Any) -> None:
        if pressed:
            ran.append(type(layer).__name__)

    with hooked(hooks.register_module_forward_pre_hook, press), hooked(hooks.register_module_forward_hook, note):
        try:
            stage()
        except main.comfy.model_management.InterruptProcessingException:
            return ran
    raise RuntimeError("It was not cancelled.")


def hooked(register: Callable[[Any], Any], hook: Any) -> Any:
    """A hook on all layers there are, for as long as the context lasts."""
    return register(hook)  # the handle is a context manager


def left() -> list[tuple[int, int]]:
    """After each of three clips, once all models are let go of: the layers that are alive, and the bytes of tensors."""
    found = []
    for seed in range(3):
        for name, (stage, made) in chain(seed).items():
            made[name] = stage()
        del stage, made
        main.comfy.model_management.unload_all_models()
        main.comfy.model_management.cleanup_models()
        found.append(alive())
    return found


def alive() -> tuple[int, int]:
    gc.collect()
    things = gc.get_objects()
    tensors = [thing for thing in things if isinstance(thing, torch.Tensor)]
    return sum(isinstance(thing, torch.nn.Module) for thing in things), sum(tensor.nbytes for tensor in tensors)


QUESTIONS = {"clip": clip, "cancelled": cancelled, "left": left}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    if asked["dynamic_vram"]:
        main.comfy.memory_management.aimdo_enabled = True  # before the pack is imported
    if asked["question"] == "imports":
        told: Any = imports()
    else:
        load_pack()
        with torch.inference_mode():
            told = QUESTIONS[asked["question"]]()
    Path(asked["answer"]).write_text(json.dumps(told))
