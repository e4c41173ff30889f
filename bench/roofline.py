"""What the UNet's step and the decoder have to do, the time that takes at the card's ceiling, and where it really goes.

    python -m svd_nodes.bench.roofline [--frames 25] [--width 1024] [--height 576] [--ceiling 750]
                                       [--out bench/results/NAME.md] [--plot docs/NAME.png]

The operations are counted on networks without weights, so that needs no card. On a CUDA card the same networks are
then profiled, in fp16 with random weights, and each kernel's time is put to the part that it works for.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..svd.attention import GEGLU, SpatialBlock, TemporalBlock
from ..svd.config import UNetConfig, VAEConfig
from ..svd.layers import Upsample
from ..svd.unet import UNet
from ..svd.vae import VAE, AttnBlock

SPACE, TIME = "attention over space", "attention over time"
CONV, TIME_CONV = "convolutions", "convolutions over time"
GATED, LINEAR, REST = "GEGLU", "other matrix products", "norms, blends, copies"
KERNELS = {  # the first that is found in a kernel's name
    r"_attend_space|sdpa|fmha|flash": SPACE,
    r"_attend": TIME,
    r"_geglu": GATED,
    r"^_conv$": TIME_CONV,
    r"implicit_gemm|convolve|conv2d|cudnn": CONV,
    r"nvjet|gemm|cutlass|splitK": LINEAR,
    r"": REST,
}


def operations(module: nn.Module, run: Callable[[], Any], frames: int) -> Counter[str]:
    """Multiplications and additions of a run, by part. The module is on the meta device."""
    found: Counter[str] = Counter()

    def conv(layer: nn.Conv2d, _: Any, out: Tensor) -> None:
        part = {(3, 1): TIME_CONV, (3, 3): CONV}.get(tuple(layer.kernel_size), LINEAR)
        saved = 9 / 4 if id(layer) in enlarging else 1  # kernels/upsample_conv
        found[part] += int(2 * out.numel() * layer.weight[0].numel() / saved)

    def linear(part: str) -> Callable[..., None]:
        return lambda layer, _, out: found.update({part: 2 * out.numel() * layer.in_features})

    def block(layer: SpatialBlock, args: Any, _: Any) -> None:
        n, s, c = args[0].tokens.shape
        temporal = isinstance(layer, TemporalBlock)
        found[TIME if temporal else SPACE] += 4 * n * s * c * (frames if temporal else s)

    def single_head(layer: AttnBlock, args: Any, _: Any) -> None:
        n, c, h, w = args[0].shape
        found[LINEAR] += 4 * n * c * (h * w) ** 2  # kernels/wide_attention

    enlarging = {id(m.conv) for m in module.modules() if isinstance(m, Upsample)}
    gates = {id(m.proj) for m in module.modules() if isinstance(m, GEGLU)}
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(conv)
        elif isinstance(part, nn.Linear):
            part.register_forward_hook(linear(GATED if id(part) in gates else LINEAR))
        elif isinstance(part, SpatialBlock):
            part.register_forward_hook(block)
        elif isinstance(part, AttnBlock):
            part.register_forward_hook(single_head)
    run()
    return found


def unet_step(unet: UNet, frames: int, height: int, width: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    """A guided pair; height and width of the latent."""
    device = next(unet.parameters()).device
    x, context = torch.randn(2 * frames, 8, height, width, device=device), torch.randn(2, 1, 1024, device=device)
    c_noise, numbers = torch.tensor(0.5, device=device), torch.tensor([[6.0, 127.0, 0.02]] * 2, device=device)
    return lambda: unet(x.to(dtype), c_noise, context.to(dtype), numbers, frames)


def decoding(vae: VAE, frames: int, height: int, width: int) -> Callable[[], Tensor]:
    z = torch.randn(frames, 4, height, width, device=next(vae.parameters()).device)
    return lambda: vae.decode(z, frames)


def profiled(run: Callable[[], Tensor]) -> Counter[str]:
    """Milliseconds on the card, by part."""
    from torch.profiler import ProfilerActivity, profile

    run(), run()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    found: Counter[str] = Counter()
    for event in profiler.key_averages():
        part = next(part for pattern, part in KERNELS.items() if re.search(pattern, event.key))
        found[part] += event.self_device_time_total / 1000
    return found


def table(title: str, counted: Counter[str], measured: Counter[str], ceiling: float) -> list[str]:
    for part in (TIME_CONV, LINEAR):
        if measured and not measured[part]:  # done by the same kernels as the convolutions: not to be told apart
            counted[CONV] += counted.pop(part)
    lines = [f"## {title}", "", "| part | TFLOP | floor | measured | achieved |", "|---|---|---|---|---|"]
    for part in (SPACE, TIME, CONV, TIME_CONV, GATED, LINEAR, REST):
        work, ms = counted[part] / 1e12, measured[part]
        if not work and not ms:
            continue
        rate = f"{work / ms * 1000:.0f} TFLOP/s" if work and ms else ""
        floor = f"{work / ceiling * 1000:.1f} ms" if work else ""
        lines.append(f"| {part} | {work:.1f} | {floor} | {f'{ms:.1f} ms' if ms else ''} | {rate} |")
    work, ms = sum(counted.values()) / 1e12, sum(measured.values())
    rate = f"{work / ms * 1000:.0f} TFLOP/s" if ms else ""
    lines.append(f"| all | {work:.1f} | {work / ceiling * 1000:.1f} ms | {f'{ms:.1f} ms' if ms else ''} | {rate} |")
    return [*lines, ""]


def plot(path: Path, results: dict[str, tuple[Counter[str], Counter[str]]], ceiling: float) -> None:
    """Floor and measured time of every part, as bars. Needs matplotlib."""
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    figure, axes = pyplot.subplots(1, len(results), figsize=(6 * len(results), 3.2), constrained_layout=True)
    for axis, (title, (counted, measured)) in zip(axes, results.items(), strict=True):
        parts = [
            part for part in (REST, LINEAR, GATED, TIME_CONV, CONV, TIME, SPACE) if counted[part] or measured[part]
        ]
        axis.barh(parts, [measured[part] for part in parts], color="#b7c9d9", label="measured")
        floors = [counted[part] / 1e9 / ceiling for part in parts]
        axis.barh(parts, floors, height=0.4, color="#2f5d7e", label=f"floor at {ceiling:.0f} TFLOP/s")
        axis.set(title=title, xlabel="ms")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--ceiling", type=float, default=750, help="TFLOP/s of a large matrix product on the card")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    size = (asked.frames, asked.height // 8, asked.width // 8)
    with torch.device("meta"):
        unet, vae = UNet(UNetConfig()), VAE(VAEConfig())
    counts = {
        "UNet, a guided pair": operations(unet, unet_step(unet, *size, torch.float32), asked.frames),
        "VAE decode": operations(vae, decoding(vae, *size), asked.frames),
    }
    times: dict[str, Counter[str]] = {title: Counter() for title in counts}
    card = "no card: operations alone"
    if torch.cuda.is_available():
        from ..tools.random_checkpoint import preset_models

        card = torch.cuda.get_device_name()
        models = preset_models("full", device="cuda", dtype=torch.float16)
        with torch.inference_mode():
            times["UNet, a guided pair"] = profiled(unet_step(models.unet, *size, torch.float16))
            times["VAE decode"] = profiled(decoding(models.vae, *size))
    lines = [
        f"# Where the time goes: {asked.width} x {asked.height}, {asked.frames} frames, fp16",
        "",
        f"{date.today()}, {card}, torch {torch.__version__}; floors at {asked.ceiling:.0f} TFLOP/s",
        "",
        f"    python -m svd_nodes.bench.roofline {' '.join(sys.argv[1:])}",
        "",
    ]
    for title, counted in counts.items():
        lines += table(title, counted, times[title], asked.ceiling)
    print("\n".join(lines))
    if asked.out:
        asked.out.write_text("\n".join(lines))
    if asked.plot:
        plot(asked.plot, {title: (counts[title], times[title]) for title in counts}, asked.ceiling)


if __name__ == "__main__":
    main()
