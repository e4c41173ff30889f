"""Building the kernels ahead of their first use, several at a time. Triton keeps what it has built on the disk."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Condition, Lock, Thread, main_thread
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .choice import HALF, builds_kernels, give_up
from .spatial_attention import attend

Progress = Callable[[int, int], None]


def begin(device: torch.device | str, dtype: torch.dtype) -> None:
    """Has every kernel built in the background. Does nothing where no kernel would be used."""
    device = torch.device(device)
    if device.type == "cuda" and dtype in HALF:
        _building(torch.empty(0, device=device).device, dtype)  # with its number, as tensors have it


def build(device: torch.device | str, dtype: torch.dtype, progress: Progress | None = None) -> None:
    """Has every kernel built: seconds the first time on a machine, if `begin` was not called earlier; then nothing.

    progress(kernels built, kernels in all) follows each. A kernel that cannot be built is a warning, and from then on
    the plain paths are taken.
    """
    device = torch.device(device)
    if device.type == "cuda" and dtype in HALF:
        _building(torch.empty(0, device=device).device, dtype).wait(progress)


class Building:
    """What builds the kernels in a thread of its own: compiles them in several more, then runs each once, in turn."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.done = self.total = 0
        self.over = False
        self._news = Condition()
        Thread(target=self._work, daemon=True).start()

    def wait(self, progress: Progress | None = None) -> None:
        """Until all is built, telling how far it is, and four times a second so that cancelling is heard."""
        told = -1
        while not (self.over and told == self.done):
            with self._news:
                if not self.over and told == self.done:
                    self._news.wait(0.25)
                told, total = self.done, self.total
            if progress is not None and total:
                progress(told, total)

    def _work(self) -> None:
        try:
            if builds_kernels(self.device):
                self._build()
        except torch.OutOfMemoryError:
            pass  # something else has the card for now: each kernel is built at its first use
        except Exception as error:  # a compiler's, a driver's, Python's: whatever it is, the plain paths work
            if not main_thread().is_alive():
                return  # the process ends
            give_up(self.device)
            warnings.warn(f"A kernel was not built ({error}), so the slower plain paths are taken.", stacklevel=2)
        finally:
            with self._news:
                self.over = True
                self._news.notify_all()

    def _build(self) -> None:
        with torch.no_grad():
            kernels, libraries = _kernel_jobs(self.device, self.dtype), _library_jobs(self.device, self.dtype)
        self._advance(0, len(kernels) + len(libraries))
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            loading = [threads.submit(_run, job, self.device) for job in libraries]
            self._compile(kernels, threads)
            for future in loading:
                future.exception()  # a library tells of its faults where it is used
                self._advance()
        for job in kernels:
            _run(job, self.device)
            self._advance()

    def _compile(self, jobs: list[Callable[[], Any]], threads: Executor) -> None:
        """All at once. It only saves time: what it does not compile is compiled when it runs, or fails there."""
        from .gpu.launch import compiling

        with suppress(Exception), compiling(_Counting(threads, self._advance)):
            for job in jobs:
                _run(job, self.device)

    def _advance(self, steps: int = 1, of: int = 0) -> None:
        with self._news:
            self.done += steps
            self.total += of
            self._news.notify_all()


_buildings: dict[tuple[torch.device, torch.dtype], Building] = {}
_one_at_a_time = Lock()


def _building(device: torch.device, dtype: torch.dtype) -> Building:
    """The one of this card and precision."""
    with _one_at_a_time:
        if (device, dtype) not in _buildings:
            _buildings[device, dtype] = Building(device, dtype)
        return _buildings[device, dtype]


class _Counting(Executor):
    """Other threads, with `advance` told of what they get and of what they have done."""

    def __init__(self, threads: Executor, advance: Callable[[int, int], None]) -> None:
        self.threads, self.advance = threads, advance

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        self.advance(0, 1)
        future = self.threads.submit(work, *arguments, **named)
        future.add_done_callback(lambda _: self.advance(1, 0))
        return future


@torch.no_grad()
def _run(job: Callable[[], Any], device: torch.device) -> None:
    with torch.cuda.device(device):
        job()


def _kernel_jobs(device: torch.device, dtype: torch.dtype) -> list[Callable[[], Any]]:
    """One for every variant that the full-size networks use, with its own small inputs."""
    from . import geglu, layer_norm, layer_norm_and_copy, spatial_attention, temporal_attention
    from .gpu import group_norm, mix, temporal_conv, upsample, upsample_conv, wide_attention

    full = partial(_full, device, dtype)
    images, channels, taps, clip = full(2, 64, 4, 4), full(64), full(64, 64, 3, 1), full(1, 64, 2, 16)
    share, factors = full(1, kind=torch.float32), full(2, 64, kind=torch.float32)
    jobs: list[Callable[[], Any]] = [
        lambda: group_norm.add_and_measure(images, images, channels, share, 2),
        lambda: group_norm.concatenate_and_measure(images, images, None, None),
        lambda: group_norm.concatenate_and_measure(images, images, channels, channels),
        lambda: mix.mix(images, images, share, share, factors, 64),
        lambda: upsample.upsample(images, 8, 8),
        lambda: temporal_conv.temporal_conv(clip, taps, channels),
        lambda: temporal_conv.temporal_conv(clip, taps, channels, clip, share),
        lambda: upsample_conv.sum_taps(full(64, 64, 3, 3)),
        lambda: upsample_conv.interleave(full(2, 256, 3, 3), channels, images),
    ]
    # In the VAE's encoder, which stays in fp32, no norm is wider than 512 channels.
    for kind, widths in ((dtype, (512, 1024, 2048, 4096)), (torch.float32, (512,))):
        maps, vector, single = full(2, 64, 4, 4, kind=kind), full(64, kind=kind), full(16, 16, kind=torch.float32)
        jobs += [
            partial(group_norm.moments, maps, 2),
            partial(group_norm.add_and_measure, maps, maps, vector, None, 2),
            partial(group_norm.apply, maps, factors, factors, True),
            partial(group_norm.apply, maps, factors, factors, False),
            partial(wide_attention.weigh, single, 1.0, kind),
        ]
        for width in widths:  # tiles of 16 to 128 channels of a group
            moments, weight = full(2, 1, 2, width, kind=torch.float32), full(width, kind=kind)
            norms = partial(group_norm.affine, moments, 16, 1, 32, weight, weight, 1e-5)
            jobs += [partial(norms, None), partial(norms, full(2, width, kind=kind))]
    for width in (320, 640, 1280):
        norm, tokens, vector = nn.LayerNorm(width, device=device, dtype=dtype), full(1, 16, width), full(width)
        jobs += [partial(work, tokens, norm, vector) for work in (layer_norm, layer_norm_and_copy)]
    for width in (320, 640):
        gate, tokens = nn.Linear(width, 256, device=device, dtype=dtype), full(1, 128, width)
        jobs.append(partial(geglu, tokens, gate))
    words = full(1, 128, 64)
    jobs.append(lambda: spatial_attention(words, words, words, 1))
    for frames in (14, 25):
        tokens = full(frames, 16, 64)
        jobs.append(partial(temporal_attention, tokens, tokens, tokens, 1, frames))
    return jobs


def _library_jobs(device: torch.device, dtype: torch.dtype) -> list[Callable[[], Any]]:
    """What has torch's libraries load their own kernels, which takes seconds too."""
    full = partial(_full, device, dtype)
    images, conv, flat, single = (
        full(2, 64, 4, 4),
        full(64, 64, 3, 3),
        full(128, 64),
        torch.ones(1, 64, 8, 8, device=device, dtype=torch.float32),
    )
    clip = full(1, 64, 2, 16)[..., None]
    return [
        lambda: F.conv2d(images, conv, padding=1),
        lambda: F.conv2d(single, conv.float(), padding=1),
        lambda: F.conv3d(clip, full(64, 64, 3, 1)[..., None], padding=(1, 0, 0)),
        lambda: F.linear(flat, flat, flat[:, 0]),
        lambda: flat.new_zeros(128, 128).addmm_(flat, flat.t()),
        lambda: attend(flat[None], flat[None], flat[None], 1),
        lambda: attend(flat[None].float(), flat[None].float(), flat[None].float(), 1),
    ]


def _full(device: torch.device, dtype: torch.dtype, *shape: int, kind: torch.dtype | None = None) -> Tensor:
    x = torch.ones(shape, device=device, dtype=kind or dtype)
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
