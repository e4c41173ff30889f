"""Building the kernels ahead: a failure ends nothing, and no two threads launch at once."""

import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from kernel_device import needs_triton

from svd_nodes.svd.kernels import choice

building = sys.modules["svd_nodes.svd.kernels.build"]  # the package's attribute of that name is the function
CPU = torch.device("cpu")


@pytest.fixture
def jobs(monkeypatch):
    """What is built, in place of the kernels, and what has run of it."""
    ran = []
    listed = {"kernels": [lambda: ran.append("kernel")] * 3, "libraries": [lambda: ran.append("library")] * 2}
    monkeypatch.setattr(building, "builds_kernels", lambda device: True)
    monkeypatch.setattr(building, "_kernel_jobs", lambda *_: listed["kernels"])
    monkeypatch.setattr(building, "_library_jobs", lambda *_: listed["libraries"])
    monkeypatch.setattr(building, "_run", lambda job, device: job())
    monkeypatch.setattr(choice, "_given_up", set())
    return listed, ran


@needs_triton
def test_everything_is_compiled_then_run_and_told(jobs):
    told = []
    building.Building(CPU, torch.float16).wait(lambda done, total: told.append((done, total)))
    _, ran = jobs
    assert sorted(ran) == ["kernel"] * 6 + ["library"] * 2, "kernels twice: to be compiled, and to be launched"
    assert told[-1] == (5, 5)
    assert told == sorted(told)
    assert CPU not in choice._given_up


def failing(error):
    def fail():
        raise error

    return fail


@needs_triton
def test_what_fails_is_a_warning_and_ends_nothing(jobs):
    jobs[0]["kernels"].append(failing(TypeError("function takes exactly 22 arguments (29 given)")))
    with pytest.warns(UserWarning, match="A kernel was not built .function takes exactly 22 arguments"):
        building.Building(CPU, torch.float16).wait()
    assert CPU in choice._given_up, "the plain paths are taken from now on"


@needs_triton
@pytest.mark.parametrize(
    ("kind", "error"),
    [("libraries", RuntimeError("no algorithm")), ("kernels", torch.OutOfMemoryError("CUDA out of memory"))],
)
def test_what_is_no_kernel_s_fault_costs_no_kernel(jobs, kind, error):
    """A library tells of its faults where it is used; memory may be there again."""
    jobs[0][kind].append(failing(error))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        building.Building(CPU, torch.float16).wait()
    assert not choice._given_up


@needs_triton
def test_cancelling_is_heard_while_a_kernel_takes_long(jobs):
    end = threading.Event()
    jobs[0]["libraries"].append(lambda: end.wait(60))
    asked = []

    def progress(done, total):
        asked.append(done)
        if len(asked) > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        building.Building(CPU, torch.float16).wait(progress)
    end.set()


@needs_triton
def test_a_triton_with_another_way_of_compiling_ahead_loses_nothing(jobs, monkeypatch):
    """3.5 has no `ignore_errors`, raises the first error, and stays in its mode then."""
    from triton.runtime import _async_compile

    class Older:
        def __init__(self, executor): ...

        def __enter__(self):
            _async_compile.active_mode.set(self)

        def __exit__(self, *_):
            raise RuntimeError("did not compile")

    monkeypatch.setattr(_async_compile, "AsyncCompileMode", Older)
    modes = []
    jobs[0]["kernels"].append(lambda: modes.append(_async_compile.active_mode.get()))
    building.Building(CPU, torch.float16).wait()
    assert isinstance(modes[0], Older)
    assert modes[1:] == [None]
    assert not choice._given_up


def test_where_no_kernel_is_to_be_had_nothing_is_built(jobs, monkeypatch):
    monkeypatch.setattr(building, "builds_kernels", lambda device: False)
    building.Building(CPU, torch.float16).wait()
    assert jobs[1] == []


@needs_triton
def test_one_thread_launches_at_a_time():
    from svd_nodes.svd.kernels.gpu.launch import launch

    class Kernel:
        inside = most = launched = 0

        def __getitem__(self, grid):
            def run(*arguments, **constants):
                self.inside += 1
                self.most = max(self.most, self.inside)
                time.sleep(0.001)
                self.launched += 1
                self.inside -= 1

            return run

    kernel, start = Kernel(), threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(5):
            launch(kernel, (1,))(0, WIDTH=1)

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(work) for _ in range(8)]:
            future.result()
    assert (kernel.launched, kernel.most) == (40, 1)


@needs_triton
def test_compiling_launches_nothing_and_leaves_what_fails_to_its_launch():
    from triton.runtime import _async_compile

    from svd_nodes.svd.kernels.gpu.launch import compiling, launch

    class Kernel:
        compiled, launched = [], []

        def warmup(self, *arguments, grid, **constants):
            def compile():
                if constants["WIDTH"] == 3:
                    raise RuntimeError("no")
                return constants["WIDTH"]

            mode = _async_compile.active_mode.get()
            mode.submit(constants["WIDTH"], compile, self.compiled.append)

        def __getitem__(self, grid):
            return lambda *arguments, **constants: self.launched.append(grid)

    kernel = Kernel()
    with ThreadPoolExecutor(2) as threads, compiling(threads):
        for width in (1, 2, 3):
            launch(kernel, (4,))(0, WIDTH=width)
    assert sorted(kernel.compiled) == [1, 2]
    assert kernel.launched == []
    launch(kernel, (4,))(0, WIDTH=1)
    assert kernel.launched == [(4,)]
