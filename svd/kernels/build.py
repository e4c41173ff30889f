"""Building the kernels ahead of their first use, several at a time. Triton keeps what it has built on the disk."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .choice import HALF, builds_kernels

Progress = Callable[[int, int], None]


def build(device: torch.device | str, dtype: torch.dtype, progress: Progress | None = None) -> None:
    """Runs every kernel once on a little data: seconds the first time on a machine, nothing noticeable after that.

    progress(kernels built, kernels in all) follows each. Does nothing where no kernel would be used.
    """
    device = torch.device(device)
    if device.type != "cuda" or dtype not in HALF:
        return
    device = torch.empty(0, device=device).device  # with its number, as tensors have it
    if not builds_kernels(device):
        return
    with torch.no_grad():
        jobs = _jobs(device, dtype)
    _run(jobs[0], device)  # by itself: it sets Triton up
    with ThreadPoolExecutor(len(jobs)) as threads:
        waiting = [threads.submit(_run, job, device) for job in jobs[1:]]
        for done, job in enumerate(as_completed(waiting), start=2):
            job.result()
            if progress is not None:
                progress(done, len(jobs))
    torch.cuda.synchronize(device)


@torch.no_grad()
def _run(job: Callable[[], Any], device: torch.device) -> None:
    with torch.cuda.device(device):
        job()


def _jobs(device: torch.device, dtype: torch.dtype) -> list[Callable[[], Any]]:
    """One for every variant that the full-size networks use, with its own small inputs."""
    from . import geglu, layer_norm, layer_norm_and_copy, temporal_attention
    from .gpu import group_norm, mix, rearrange, temporal_conv, upsample_conv, wide_attention

    def full(*shape: int, kind: torch.dtype = dtype) -> Tensor:
        x = torch.ones(shape, device=device, dtype=kind)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    images, vectors, channels = full(2, 64, 4, 4), full(2, 64), full(64)
    share, factors = full(1, kind=torch.float32), full(2, 64, kind=torch.float32)
    moments = torch.ones(2, 1, 2, 64, device=device)
    weight, clip = full(64, 64, 3, 1), full(1, 64, 2, 16)
    jobs: list[Callable[[], Any]] = [
        lambda: group_norm.moments(images, 2),
        lambda: group_norm.add_and_measure(images, images, None),
        lambda: group_norm.add_and_measure(images, images, channels),
        lambda: group_norm.affine(moments, 16, 1, 32, channels, channels, 1e-5, vectors),
        lambda: group_norm.affine(moments, 16, 1, 32, channels, channels, 1e-5, None),
        lambda: group_norm.apply(images, factors, factors, True),
        lambda: group_norm.apply(images, factors, factors, False),
        lambda: mix.mix(images, images, None, None, vectors, 64),
        lambda: mix.mix(images, images, None, share, share.expand(1, 64).contiguous(), 64),
        lambda: mix.mix(images, images, share, share, vectors, 64),
        lambda: rearrange.concatenate(images, images),
        lambda: rearrange.concatenate(images, images, channels, channels),
        lambda: rearrange.upsample(images, 8, 8),
        lambda: temporal_conv.temporal_conv(clip, weight, channels),
        lambda: temporal_conv.temporal_conv(clip, weight, channels, clip, share),
        lambda: upsample_conv.sum_taps(full(64, 64, 3, 3)),
        lambda: upsample_conv.interleave(full(2, 256, 3, 3), channels, images),
        lambda: wide_attention.weigh(full(16, 16, kind=torch.float32), 1.0, dtype),
    ]
    for width in (320, 640, 1280):
        norm, tokens = nn.LayerNorm(width, device=device, dtype=dtype), full(1, 16, width)
        jobs += [partial(work, tokens, norm, full(1, width)) for work in (layer_norm, layer_norm_and_copy)]
    for width in (320, 640):
        gate, tokens = nn.Linear(width, 128, device=device, dtype=dtype), full(1, 128, width)
        jobs.append(partial(geglu, tokens, gate))
    for frames in (14, 25):
        tokens = full(frames, 16, 64)
        jobs.append(partial(temporal_attention, tokens, tokens, tokens, 1, frames))
    return jobs
