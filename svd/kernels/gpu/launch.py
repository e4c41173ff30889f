"""Launching a kernel, by one thread at a time, and compiling it without launching it.

Triton compiles in several threads if asked to, but what makes a compiled kernel ready to launch is not safe there: two
threads can be given each other's launcher.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import signature
from threading import RLock
from typing import Any

_one_at_a_time = RLock()
_only_compiles: ContextVar[bool] = ContextVar("svd_nodes_only_compiles", default=False)


def launch(kernel: Any, grid: tuple[int, ...]) -> Callable[..., Any]:
    """What `kernel[grid]` is: to be called with the kernel's arguments."""
    return partial(kernel.warmup, grid=grid) if _only_compiles.get() else partial(_launch, kernel, grid)


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    with _one_at_a_time:
        kernel[grid](*arguments, **constants)


@contextmanager
def compiling(executor: Executor) -> Iterator[None]:
    """Within it, this thread's launches have their kernels compiled by the executor and launch nothing.

    At its end all are compiled. One that cannot be is left to its first launch, which fails.
    """
    from triton.runtime import _async_compile

    told = {"ignore_errors": True} if "ignore_errors" in signature(_async_compile.AsyncCompileMode).parameters else {}
    token, mode = _only_compiles.set(True), _async_compile.active_mode.set(None)
    try:
        with _async_compile.AsyncCompileMode(executor, **told):
            yield
    finally:
        _async_compile.active_mode.reset(mode)  # Triton 3.5 leaves it set where something did not compile
        _only_compiles.reset(token)
