"""What torch's threads are told in a process of our own, before torch is imported. Never in somebody's editor."""

import os
from collections.abc import MutableMapping
from math import ceil
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def settle(environment: MutableMapping[str, str] = os.environ, cgroups: Path = CGROUPS) -> None:
    """Has waiting threads sleep, and has no more of them than a container may use. What the user has set stays.

    By default a thread that waits for its next work spins. Two such programs on the same processors take each other's
    time that way: each of two clips took six times what it takes alone.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # GNU's OpenMP, which torch has on Linux
    environment.setdefault("KMP_BLOCKTIME", "0")  # LLVM's and Intel's, elsewhere
    quota = _quota(cgroups)
    if quota is not None and quota < _processors():  # OpenMP minds the affinity by itself, but no quota
        environment.setdefault("OMP_NUM_THREADS", str(quota))


def _processors() -> int:
    """How many this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _quota(cgroups: Path) -> int | None:
    """How many processors' time a container gets, rounded up; None without a limit."""
    try:
        told = (cgroups / "cpu.max").read_text().split()  # version 2: "max 100000" or "150000 100000"
    except OSError:
        try:
            told = [(cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        except OSError:
            return None
    try:
        quota, period = map(int, told)
    except ValueError:
        return None
    return max(1, ceil(quota / period)) if quota > 0 and period > 0 else None
