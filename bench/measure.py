"""Seconds and memory of some work on a card; where there is none, seconds alone, so that a benchmark can be tried."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GIB = 2**30


def milliseconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The median of some repeats, after one to warm up."""
    work()
    if DEVICE == "cpu":
        return median(1000 * seconds(work) for _ in range(repeats))
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return median(a.elapsed_time(b) for a, b in pairwise(events))


def seconds(work: Callable[[], Any]) -> float:
    synchronize()
    begin = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - begin


def synchronize() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


@contextmanager
def peak() -> Iterator[list[float]]:
    """A list that holds, after the block, the peak in GiB; nan without a card."""
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found: list[float] = []
    yield found
    synchronize()
    found.append(torch.cuda.max_memory_allocated() / GIB if DEVICE == "cuda" else float("nan"))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator(DEVICE).manual_seed(0), device=DEVICE)


def machine() -> str:
    """The card, or that there is none."""
    return torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
