"""Does a network work when ComfyUI streams its weights to a card that is too small for them? Same pixels, time, memory.

    PATH_TO_COMFYUI_PYTHON bench/streaming.py --comfyui PATH_TO_COMFYUI [--out bench/results/NAME.md]

Runs in ComfyUI's environment on a CUDA card, with random weights at full size in fp16. ComfyUI's memory manager is told
that the activations need all but --room GiB of the card, so only that much of each network stays on it.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from against_core import import_pack
from torch import Tensor


def measured(network: Any, memory: int, work: Callable[[Any, torch.device], Tensor]) -> tuple[Tensor, float, float]:
    """The result of some work, its seconds (of a second run), and the peak GiB on the card."""
    with network.at_work(memory, lambda room: "There is not enough memory.") as (module, device):
        work(module, device)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        result = work(module, device)
        torch.cuda.synchronize()
        return result.float().cpu(), time.perf_counter() - begin, torch.cuda.max_memory_allocated() / 2**30


def jobs(
    unet: Any, frames: int, height: int, width: int
) -> dict[str, tuple[str, Callable[[Any, torch.device], Tensor]]]:
    """What is compared: the network's name, and work on it."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2 * frames, 8, height // 8, width // 8, generator=generator)
    context, scalars = torch.randn(2, 1, 1024, generator=generator), torch.tensor([[6, 127, 0.02]] * 2)
    picture = torch.rand(1, 3, height, width, generator=generator)

    def step(module: Any, device: torch.device) -> Tensor:
        noisy, embedding = x.to(device, torch.float16), context.to(device, torch.float16)
        return module(noisy, torch.tensor(0.5, device=device), embedding, scalars.to(device), frames)

    def encode(module: Any, device: torch.device) -> Tensor:
        return module.encode(2 * picture.to(device) - 1)

    def decode(module: Any, device: torch.device) -> Tensor:
        return module.decode(x[:frames, :4].to(device), frames)

    return {"UNet, one guided step": ("unet", step), "VAE encode": ("vae", encode), "VAE decode": ("vae", decode)}


@torch.inference_mode()
def compare(room: float, frames: int, height: int, width: int) -> list[str]:
    """One row a job: resident, streamed, and resident again after everything was unloaded."""
    import comfy.model_management as memory_manager

    from svd_nodes.nodes import host
    from svd_nodes.tools.random_checkpoint import preset_models

    models = preset_models("full", dtype=torch.float16, ops=host.ops)
    rows = []
    for name, (which, work) in jobs(models.unet, frames, height, width).items():
        network = host.Network(getattr(models, which))
        resident, seconds, peak = measured(network, 0, work)
        memory_manager.unload_all_models()
        spare = int(memory_manager.get_free_memory(torch.device("cuda")) - room * 2**30)
        streamed, slow_seconds, low_peak = measured(network, spare, work)
        memory_manager.unload_all_models()
        again, _, _ = measured(network, 0, work)
        memory_manager.unload_all_models()
        same = "yes" if torch.equal(resident, streamed) else f"to {float((resident - streamed).abs().max()):.1e}"
        back = "yes" if torch.equal(resident, again) else "NO"
        cells = f"{seconds:.2f} s", f"{slow_seconds:.2f} s", f"{peak:.1f} GiB", f"{low_peak:.1f} GiB", same, back
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--room", type=float, default=1.0, help="GiB of weights that may stay on the card")
    parser.add_argument("--frames", type=int, default=14)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sys.path.insert(0, str(asked.comfyui))
    sys.argv = sys.argv[:1]  # ComfyUI reads the command line too
    import comfy_api.v0_0_2  # noqa: F401  tells the pack that it is in ComfyUI

    import_pack()
    height, width = 320, 512
    rows = compare(asked.room, asked.frames, height, width)
    text = "\n".join(
        [
            f"# Weights streamed by ComfyUI, full size, fp16, {asked.frames} frames of {width} x {height}",
            "",
            f"{date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, "
            f"Python {platform.python_version()}",
            "",
            f"    python bench/streaming.py --comfyui PATH --room {asked.room:g} --frames {asked.frames}",
            "",
            "| | resident | streamed | peak, resident | peak, streamed | same result | same after unloading |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
