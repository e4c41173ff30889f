"""Our UNet and sampler against ComfyUI's, at full size, on the same random weights and inputs, on the CPU in fp32.

    PATH_TO_COMFYUI_PYTHON bench/against_core.py --comfyui PATH_TO_COMFYUI

Runs in ComfyUI's environment. The two models share one copy of the weights (6.1 GB); about 9 GB in all. Prints a table.
"""

import argparse
import importlib.util
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "model.diffusion_model."
FRAMES, SIDE, STEPS = 4, 128, 2
FPS, MOTION_BUCKET, AUGMENTATION = 7, 127, 0.02
MIN_GUIDANCE, MAX_GUIDANCE = 1.0, 3.0


def import_pack() -> None:
    """Makes this repository importable as `svd_nodes` without installing it."""
    spec = importlib.util.spec_from_file_location(
        "svd_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["svd_nodes"] = module
    spec.loader.exec_module(module)


def our_unet() -> Any:
    from svd_nodes.svd.config import UNetConfig
    from svd_nodes.svd.unet import UNet
    from svd_nodes.tools.random_checkpoint import fill

    with torch.device("meta"):
        unet = UNet(UNetConfig())
    fill(unet, torch.Generator().manual_seed(0), torch.float32)
    return unet


def core_model(ours: Any) -> Any:
    """ComfyUI's SVD model around the same tensors. Its temporal kernels have a fifth dimension."""
    import comfy.model_detection

    temporal = {f"{n}.weight" for n, m in ours.named_modules() if getattr(m, "kernel_size", None) == (3, 1)}
    weights = {name: w[..., None] if name in temporal else w for name, w in ours.state_dict().items()}
    named = {PREFIX + name: w for name, w in weights.items()}
    config = comfy.model_detection.model_config_from_unet(named, PREFIX)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(named, PREFIX, device="meta")
    model.diffusion_model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()


def inputs() -> dict[str, Tensor]:
    """What both are given: noise, the picture's latent and embedding, the schedule."""
    from svd_nodes.svd.edm import karras_sigmas

    g = torch.Generator().manual_seed(1)
    side = SIDE // 8
    return {
        "noise": torch.randn(FRAMES, 4, side, side, generator=g),
        "concat": torch.randn(1, 4, side, side, generator=g) * 4,
        "context": torch.randn(1, 1, 1024, generator=g),
        "sigmas": karras_sigmas(STEPS),
    }


def told(given: dict[str, Tensor]) -> Any:
    """Our conditioning."""
    from svd_nodes.svd.conditioning import Conditioning

    scalars = torch.tensor([[FPS - 1, MOTION_BUCKET, AUGMENTATION]], dtype=torch.float32)
    return Conditioning(given["context"], given["concat"], scalars)


def network_outputs(unet: Any, model: Any, given: dict[str, Tensor], sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The bare networks, ours and core's, on the same scaled input, without and with the picture."""
    from svd_nodes.svd.edm import c_in, c_noise

    both = told(given).unconditional().cat(told(given))
    x = (c_in(sigma) * given["noise"] * (1 + sigma**2).sqrt()).repeat(2, 1, 1, 1)
    x = torch.cat([x, both.concat.repeat_interleave(FRAMES, dim=0)], dim=1)
    ours = unet(x, c_noise(sigma), both.context, both.scalars, FRAMES)
    vector = model.encode_adm(fps=FPS, motion_bucket_id=MOTION_BUCKET, augmentation_level=AUGMENTATION)
    core = model.diffusion_model(
        x,
        c_noise(sigma).expand(2 * FRAMES),
        context=both.context.repeat_interleave(FRAMES, dim=0),
        y=vector.expand(2 * FRAMES, -1),
        num_video_frames=FRAMES,
    )
    return ours, core


def core_denoiser(model: Any, given: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """D(x; sigma) as ComfyUI's sampler and its Video Linear CFG Guidance compute it."""
    vector = model.encode_adm(fps=FPS, motion_bucket_id=MOTION_BUCKET, augmentation_level=AUGMENTATION)
    halves = torch.cat([torch.zeros(FRAMES, 1, 1, 1), torch.ones(FRAMES, 1, 1, 1)])
    concat = given["concat"].expand(2 * FRAMES, -1, -1, -1) * halves
    context = given["context"].expand(2 * FRAMES, -1, -1) * halves[..., 0]
    scale = torch.linspace(MIN_GUIDANCE, MAX_GUIDANCE, FRAMES)[:, None, None, None]

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        uncond, cond = model.apply_model(
            x.repeat(2, 1, 1, 1),
            sigma.expand(2 * FRAMES),
            c_concat=concat,
            c_crossattn=context,
            y=vector.expand(2 * FRAMES, -1),
            num_video_frames=FRAMES,
        ).chunk(2)
        return uncond + scale * (cond - uncond)

    return denoise


def run_core(denoise: Callable[[Tensor, Tensor], Tensor], given: dict[str, Tensor]) -> Tensor:
    """ComfyUI's own Euler sampler from its own start."""
    from comfy.k_diffusion.sampling import sample_euler

    x = given["noise"] * (1 + given["sigmas"][0] ** 2).sqrt()
    return sample_euler(lambda x, sigma: denoise(x, sigma[:1]), x, given["sigmas"], disable=True)


def run_ours(unet: Any, given: dict[str, Tensor]) -> Tensor:
    from svd_nodes.svd.guidance import linear
    from svd_nodes.svd.sampler import sample, start

    x, scale = start(given["noise"], given["sigmas"][0]), linear(MIN_GUIDANCE, MAX_GUIDANCE, FRAMES)
    return sample(unet, told(given), x, given["sigmas"], scale)


def compare(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Largest difference over largest magnitude; and the difference's norm over the norm."""
    return float((a - b).abs().max() / b.abs().max()), float((a - b).norm() / b.norm())


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="a ComfyUI checkout")
    sys.path.insert(0, str(parser.parse_args().comfyui.expanduser().resolve()))
    from comfy.cli_args import args

    args.cpu = True
    import_pack()
    from comfyui_version import __version__

    unet, given = our_unet(), inputs()
    model = core_model(unet)
    rows = []
    for sigma in given["sigmas"][:-1]:
        rows.append((f"UNet's output at sigma {sigma:g}", *compare(*network_outputs(unet, model, given, sigma))))
    latents = run_ours(unet, given), run_core(core_denoiser(model, given), given)
    rows.append((f"latent after {STEPS} Euler steps with guidance", *compare(*latents)))

    print(f"{sum(p.numel() for p in unet.parameters()):,} parameters, {SIDE} x {SIDE} x {FRAMES} frames, fp32, CPU")
    print(f"ComfyUI {__version__}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("| compared | largest difference / largest value | norm of difference / norm |\n|---|---|---|")
    for name, largest, norm in rows:
        print(f"| {name} | {largest:.1e} | {norm:.1e} |")


if __name__ == "__main__":
    main()
