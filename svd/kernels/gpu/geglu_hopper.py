"""GEGLU for Hopper: as `geglu`, by warps that only load and two warpgroups that only multiply, each at its own pace.

While one warpgroup has its gate in the registers, the other keeps the tensor cores busy and the next tiles are on their
way, so the gate costs next to nothing beside the product. Needs Gluon, Triton's lower half, and compute capability 9.0.

A product of few channels is over before a tile's weights have come: there each program keeps its weights in shared
memory for good (`_geglu_kept`), and its warpgroups have tiles of their own.
"""

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma, warpgroup_mma, warpgroup_mma_wait
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from .launch import launch

COLUMNS = gl.constexpr(128)  # of a tile's result
DEPTH = gl.constexpr(64)
SLOTS = gl.constexpr(4)  # steps along k that are in shared memory or on their way
FEW = 320  # channels whose weights fit beside them


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel takes these: whole tiles, and what the copy engine asks of memory."""
    whole = weight.shape[1] % DEPTH.value == 0 and weight.shape[0] % (2 * COLUMNS.value) == 0
    return whole and weight.is_contiguous() and x.data_ptr() % 16 == weight.data_ptr() % 16 == 0


def geglu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (... k), weight (2n k): values' rows first, then the gates' -> (... n)."""
    k, n = x.shape[-1], weight.shape[0] // 2
    m = x.numel() // k
    result = torch.empty(*x.shape[:-1], n, device=x.device, dtype=x.dtype)
    rows, columns = _described(x.view(m, k), weight)
    processors = torch.cuda.get_device_properties(x.device).multi_processor_count
    across = n // COLUMNS.value
    if k <= FEW and across <= processors:
        programs = across * min(processors // across, -(-m // 64))
        launch(_geglu_kept, (programs,))(rows, columns, bias, result, m, n, K=k, num_warps=4)
    else:
        programs = min(processors, across * -(-m // 128))
        launch(_geglu, (programs,))(rows, columns, bias, result, m, n, k, num_warps=4)
    return result


def _described(x: Tensor, weight: Tensor) -> tuple[TensorDescriptor, TensorDescriptor]:
    """For the copy engine. It brings the weight's rows in the order a c b d, where 32 of them are a b c d = 1 4 4 2.

    A thread of a product holds columns 0 1, 8 9, 16 17 and 24 25 of every 32, or the next two of each. In this order
    they are eight neighbours of the result, 16 bytes that are written at once.
    """
    (block, flat), (blocks, deep) = tiles()
    n, k = weight.shape
    shape, strides = [n // 32, 4, 4, 2, k], [32 * k, 2 * k, 8 * k, k, 1]
    return TensorDescriptor.from_tensor(x, block, flat), TensorDescriptor(weight, shape, strides, blocks, deep)


def tiles() -> tuple[tuple[list[int], gl.NVMMASharedLayout], tuple[list[int], gl.NVMMASharedLayout]]:
    """What one copy brings of x and of the weight: shape, and layout in shared memory."""
    flat, deep = (gl.NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=rank) for rank in (2, 5))
    return ([64, DEPTH.value], flat), ([COLUMNS.value // 32, 4, 4, 2, DEPTH.value], deep)


@gluon.jit(do_not_specialize=["m"])
def _geglu(x, weight, bias, result, m, n, k):
    """Tiles of 128 rows, 64 for each warpgroup. x and weight are tensor descriptors."""
    rows = gl.allocate_shared_memory(x.dtype, [2 * SLOTS, 64, DEPTH], x.layout)
    values = gl.allocate_shared_memory(x.dtype, [SLOTS, COLUMNS // 32, 4, 4, 2, DEPTH], weight.layout)
    gates = gl.allocate_shared_memory(x.dtype, [SLOTS, COLUMNS // 32, 4, 4, 2, DEPTH], weight.layout)
    full = gl.allocate_shared_memory(gl.int64, [SLOTS, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [SLOTS, 1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(SLOTS):
        mbarrier.init(full.index(slot), count=1)
        mbarrier.init(empty.index(slot), count=2)
    room = (rows, values, gates, full, empty)
    gl.warp_specialize(
        [
            (_multiply, (room, bias, result, m, n, k, 0)),
            (_multiply, (room, bias, result, m, n, k, 1)),
            (_load, (x, weight, room, m, n, k)),
        ],
        [4, 1],
        [232, 24],
    )


@gluon.jit
def _load(x, weight, room, m, n, k):
    rows, values, gates, full, empty = room
    turn = 0
    for tile in range(gl.program_id(0), gl.cdiv(m, 128) * (n // COLUMNS), gl.num_programs(0)):
        row = tile // (n // COLUMNS) * 128
        column = tile % (n // COLUMNS) * COLUMNS
        for at in range(0, k, DEPTH):
            slot = turn % SLOTS
            ready = full.index(slot)
            mbarrier.wait(empty.index(slot), (turn // SLOTS & 1) ^ 1)
            mbarrier.expect(ready, (128 + 2 * COLUMNS) * DEPTH * 2)
            for group in gl.static_range(2):
                tma.async_copy_global_to_shared(x, [row + 64 * group, at], ready, rows.index(2 * slot + group))
            _bring(weight, column, n, at, values.index(slot), gates.index(slot), ready)
            turn += 1


@gluon.jit
def _bring(weight, column, n, at, values, gates, ready):
    tma.async_copy_global_to_shared(weight, [column // 32, 0, 0, 0, at], ready, values)
    tma.async_copy_global_to_shared(weight, [(n + column) // 32, 0, 0, 0, at], ready, gates)


@gluon.jit
def _multiply(room, bias, result, m, n, k, GROUP: gl.constexpr):
    rows, values, gates, full, empty = room
    turn = 0
    for tile in range(gl.program_id(0), gl.cdiv(m, 128) * (n // COLUMNS), gl.num_programs(0)):
        value, gate = _nothing()
        for at in range(0, k, DEPTH):
            slot = turn % SLOTS
            mbarrier.wait(full.index(slot), turn // SLOTS & 1)
            value, gate = _add(value, gate, rows.index(2 * slot + GROUP), values.index(slot), gates.index(slot))
            value, gate = warpgroup_mma_wait(2, deps=[value, gate])  # the step before is through: its slot is free
            mbarrier.arrive(empty.index((turn + SLOTS - 1) % SLOTS), count=1, pred=at > 0)
            turn += 1
        value, gate = warpgroup_mma_wait(0, deps=[value, gate])
        mbarrier.arrive(empty.index((turn + SLOTS - 1) % SLOTS), count=1)
        row = tile // (n // COLUMNS) * 128 + 64 * GROUP
        _finish(_in_order(value), _in_order(gate), bias, result, row, tile % (n // COLUMNS) * COLUMNS, m, n)


@gluon.jit
def _nothing():
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLUMNS, 16])
    return gl.zeros([64, COLUMNS], gl.float32, layout), gl.zeros([64, COLUMNS], gl.float32, layout)


@gluon.jit
def _add(value, gate, rows, values, gates):
    """One step's products, begun."""
    value = warpgroup_mma(rows, values.reshape([COLUMNS, DEPTH]).permute((1, 0)), value, is_async=True)
    gate = warpgroup_mma(rows, gates.reshape([COLUMNS, DEPTH]).permute((1, 0)), gate, is_async=True)
    return value, gate


@gluon.jit(do_not_specialize=["m"])
def _geglu_kept(x, weight, bias, result, m, n, K: gl.constexpr):
    """Each program has 128 columns and every so many tiles of 64 rows; its warpgroups have them in turn."""
    STEPS: gl.constexpr = K // DEPTH
    rows = gl.allocate_shared_memory(x.dtype, [2 * SLOTS, 64, DEPTH], x.layout)
    values = gl.allocate_shared_memory(x.dtype, [STEPS, COLUMNS // 32, 4, 4, 2, DEPTH], weight.layout)
    gates = gl.allocate_shared_memory(x.dtype, [STEPS, COLUMNS // 32, 4, 4, 2, DEPTH], weight.layout)
    full = gl.allocate_shared_memory(gl.int64, [2 * SLOTS, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [2 * SLOTS, 1], mbarrier.MBarrierLayout())
    turns = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    kept = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(2 * SLOTS):
        mbarrier.init(full.index(slot), count=1)
        mbarrier.init(empty.index(slot), count=1)
    for group in gl.static_range(2):
        mbarrier.init(turns.index(group), count=1)
    mbarrier.init(kept, count=1)
    room = (rows, values, gates, full, empty, turns, kept)
    gl.warp_specialize(
        [
            (_multiply_kept, (room, bias, result, m, n, 0, STEPS)),
            (_multiply_kept, (room, bias, result, m, n, 1, STEPS)),
            (_load_kept, (x, weight, room, m, n, 0, STEPS)),
            (_load_kept, (x, weight, room, m, n, 1, STEPS)),
        ],
        [4, 1, 1],
        [232, 24, 24],
    )


@gluon.jit
def _share(n, GROUP: gl.constexpr):
    """A warpgroup's first column, its first tile, and how far it is to its next."""
    each = gl.num_programs(0) // (n // COLUMNS)
    return gl.program_id(0) // each * COLUMNS, gl.program_id(0) % each + GROUP * each, 2 * each


@gluon.jit
def _load_kept(x, weight, room, m, n, GROUP: gl.constexpr, STEPS: gl.constexpr):
    rows, values, gates, full, empty, _, kept = room
    column, first, stride = _share(n, GROUP)
    if GROUP == 0:
        mbarrier.expect(kept, 2 * COLUMNS * STEPS * DEPTH * 2)
        for step in gl.static_range(STEPS):
            _bring(weight, column, n, step * DEPTH, values.index(step), gates.index(step), kept)
    turn = 0
    for tile in range(first, gl.cdiv(m, 64), stride):
        for step in gl.static_range(STEPS):
            slot = GROUP * SLOTS + turn % SLOTS
            mbarrier.wait(empty.index(slot), (turn // SLOTS & 1) ^ 1)
            mbarrier.expect(full.index(slot), 64 * DEPTH * 2)
            tma.async_copy_global_to_shared(x, [tile * 64, step * DEPTH], full.index(slot), rows.index(slot))
            turn += 1


@gluon.jit
def _multiply_kept(room, bias, result, m, n, GROUP: gl.constexpr, STEPS: gl.constexpr):
    rows, values, gates, full, empty, turns, kept = room
    column, first, stride = _share(n, GROUP)
    mbarrier.wait(kept, 0)
    turn = 0
    visit = 0
    for tile in range(first, gl.cdiv(m, 64), stride):
        value, gate = _nothing()
        mbarrier.wait(turns.index(GROUP), (visit & 1) ^ (GROUP == 0))
        for step in gl.static_range(STEPS):
            slot = GROUP * SLOTS + turn % SLOTS
            mbarrier.wait(full.index(slot), turn // SLOTS & 1)
            value, gate = _add(value, gate, rows.index(slot), values.index(step), gates.index(step))
            if step > 0:
                value, gate = warpgroup_mma_wait(2, deps=[value, gate])
                mbarrier.arrive(empty.index(GROUP * SLOTS + (turn + SLOTS - 1) % SLOTS), count=1)
            turn += 1
        mbarrier.arrive(turns.index(1 - GROUP), count=1)
        value, gate = warpgroup_mma_wait(0, deps=[value, gate])
        mbarrier.arrive(empty.index(GROUP * SLOTS + (turn + SLOTS - 1) % SLOTS), count=1)
        _finish(_in_order(value), _in_order(gate), bias, result, tile * 64, column, m, n)
        visit += 1


@gluon.jit
def _in_order(x):
    """The columns as the result has them (see _described). Nothing moves: only the registers' names change."""
    layout: gl.constexpr = gl.DistributedLinearLayout(
        reg_bases=[[0, 1], [0, 2], [0, 4], [8, 0], [0, 32], [0, 64]],
        lane_bases=[[0, 8], [0, 16], [1, 0], [2, 0], [4, 0]],
        warp_bases=[[16, 0], [32, 0]],
        block_bases=[],
        shape=[64, COLUMNS],
    )
    x = x.reshape([64, COLUMNS // 32, 4, 4, 2]).permute(0, 1, 3, 2, 4).reshape([64, COLUMNS])
    return gl.convert_layout(x, layout)


@gluon.jit
def _finish(value, gate, bias, result, row, column, m, n):
    column += gl.arange(0, COLUMNS, gl.SliceLayout(0, value.type.layout))
    row += gl.arange(0, 64, gl.SliceLayout(1, value.type.layout))
    value += gl.load(bias + column).to(gl.float32)[None, :]
    gate += gl.load(bias + n + column).to(gl.float32)[None, :]
    at = result + row.to(gl.int64)[:, None] * n + column[None, :]
    gl.store(at, (value * _gelu(gate)).to(result.dtype.element_ty), (row < m)[:, None])


@gluon.jit
def _gelu(x):
    """As geglu._gelu, with the fast reciprocal."""
    z = gl.abs(x)
    p = ((5.621299664e-6 * z + 5.105520901e-5) * z + 3.968613701e-5) * z + 3.422739239e-3
    p = ((p * z + 2.207699846e-2) * z + 5.207516304e-2) * z + 1.044273782
    p *= p
    p *= p
    p *= p
    p *= p
    q = gl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=r,r", [p], dtype=gl.float32, is_pure=True, pack=1)
    return gl.maximum(x, 0.0) - z * q
