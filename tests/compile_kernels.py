"""Compiles every kernel for a kind of NVIDIA card, with no card there, and prints what each uses, as JSON.

    python tests/compile_kernels.py 90

Sizes are full-size SVD's at 576x1024: the constants that its layers lead to. A process of its own, since where the
tests run Triton interprets.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.experimental.gluon._runtime import GluonASTSource

from svd_nodes.svd.kernels.gpu import (
    attention_hopper,
    geglu,
    geglu_hopper,
    group_norm,
    layer_norm,
    mix,
    temporal_attention,
    temporal_conv,
    upsample,
    upsample_conv,
    wide_attention,
)

HALF, FLOAT, INT, REAL = "*fp16", "*fp32", "i32", "fp32"
# Those that are divisible by 16.
ALIGNED = (
    "c", "c_in", "c_out", "n", "k", "stride", "offset", "image_stride", "place_stride", "clip_stride", "frame_stride",
)  # fmt: skip


def cases(capability: int) -> list[tuple[Any, list[str], dict[str, Any], dict[str, int]]]:
    """Kernel, types of its arguments, constants, options."""
    tile = {"ROWS": 64, "CHANNELS": 64}
    product = {"ROWS": 128, "COLUMNS": 64, "DEPTH": 32}
    found = [
        (group_norm._moments, [*[HALF] * 3, FLOAT, HALF, FLOAT, *[INT] * 6],
            dict.fromkeys(("SUMS", "ADDS", "SHARES", "WRITES"), True) | tile, {}),
        (group_norm._affine, [FLOAT, *[HALF] * 3, FLOAT, FLOAT, *[INT] * 6, REAL],
            {"ADDS": True, "SPLITS": 16, "CHANNELS": 128}, {}),
        (group_norm._apply, [HALF, FLOAT, FLOAT, HALF, INT, INT], {"SILU": True, **tile}, {}),
        (mix._mix, [HALF, HALF, FLOAT, FLOAT, FLOAT, HALF, INT, INT], {"ADDS": True, **tile}, {}),
        (upsample._repeat, [HALF, HALF, *[INT] * 5], tile, {}),
        (temporal_conv._conv, [HALF, HALF, HALF, HALF, FLOAT, HALF, *[INT] * 5],
            {"ONTO": True, "SHARE": True, "ROWS": 128, "COLUMNS": 128, "DEPTH": 64}, {"num_warps": 4}),
        (upsample_conv._sum_taps, [HALF, HALF, INT, INT], {"CHANNELS": 256}, {}),
        (upsample_conv._interleave, [HALF, HALF, HALF, INT, INT, INT], tile, {}),
        (wide_attention._exponentials, [FLOAT, HALF, FLOAT, INT, REAL], {"COLUMNS": 2048}, {"num_warps": 8}),
        (geglu._geglu, [*[HALF] * 4, *[INT] * 3], product, {"num_warps": 4, "num_stages": 4}),
    ]  # fmt: skip
    for width, rows, warps in ((512, 2, 1), (1024, 1, 1), (2048, 1, 1), (512, 4, 2), (1024, 2, 2), (2048, 1, 2)):
        constants = {"ADDS": True, "COPIES": warps == 2, "ROWS": rows, "WIDTH": width}
        found.append((layer_norm._layer_norm, [*[HALF] * 6, *[INT] * 5, REAL], constants, {"num_warps": warps}))
    for frames, warps in ((16, 1), (32, 1)):  # of 14 and of 25
        constants = {"WIDTH": 64, "FRAMES": frames}
        found.append((temporal_attention._attend, [*[HALF] * 4, *[INT] * 5, REAL], constants, {"num_warps": warps}))
    if capability == 90:
        described = [f"tensordesc<fp16{block},{layout!r}>" for block, layout in geglu_hopper.tiles()]
        types = [*described, HALF, HALF, INT, INT]
        found.append((geglu_hopper._geglu_kept, types, {"K": 320}, {"num_warps": 4}))
        found.append((geglu_hopper._geglu, [*types, INT], {}, {"num_warps": 4}))
        tiles = map(attention_hopper.tile, (64, 128, 128))
        described = [f"tensordesc<fp16{block},{layout!r}>" for block, layout in tiles]
        types = [*described, HALF, *[INT] * 3, REAL]
        found.append((attention_hopper._attend_space, types, {}, {"num_warps": 4}))
    return found


def used(kernel: Any, types: list[str], constants: dict[str, Any], options: dict[str, int], capability: int) -> dict:
    """Registers, and bytes of stack, shared and local memory."""
    names = kernel.arg_names
    signature = dict(zip([name for name in names if name not in constants], types, strict=True))
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if signature.get(name, "").startswith("*") or name in ALIGNED
    }
    signature |= dict.fromkeys(constants, "constexpr")
    values = {(names.index(name),): value for name, value in constants.items()}
    kind = GluonASTSource if kernel.is_gluon() else ASTSource
    source = kind(kernel, {name: signature[name] for name in names}, values, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [Path(nvidia.__file__).parent / "bin" / "cuobjdump", "-res-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
    return found | {"SHARED": compiled.metadata.shared}


def main() -> None:
    capability = int(sys.argv[1])
    result = {
        f"{kernel.__name__} {constants}": used(kernel, types, constants, options, capability)
        for kernel, types, constants, options in cases(capability)
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
