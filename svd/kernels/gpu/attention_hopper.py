"""Attention among the tokens of each image for Hopper (after FlashAttention-3, arXiv:2407.08608), heads of 64 channels.

A warp loads keys and values; three warpgroups have 64 queries each. A warpgroup has the tensor cores compute the next
scores while it takes the exponentials of the last ones, and the other two are busy when it waits. Needs Gluon, Triton's
lower half, and compute capability 9.0.
"""

import math

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma, warpgroup_mma, warpgroup_mma_wait
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from .launch import launch

WIDTH = gl.constexpr(64)  # of a head
QUERIES = gl.constexpr(192)  # of a tile, 64 for each warpgroup
KEYS = gl.constexpr(128)  # of a step
SLOTS = gl.constexpr(4)  # steps whose keys and values are in shared memory or on their way


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(n s heads*64) each, contiguous -> the same."""
    n, s, c = q.shape
    result = torch.empty_like(q)
    tiles = -(-s // QUERIES.value) * heads * n
    programs = min(tiles, torch.cuda.get_device_properties(q.device).multi_processor_count)
    scale = WIDTH.value**-0.5 * math.log2(math.e)
    described = [_described(x, rows) for x, rows in ((q, 64), (k, KEYS.value), (v, KEYS.value))]
    launch(_attend_space, (programs,))(*described, result, n, s, c, scale, num_warps=4)
    return result


def fits(q: Tensor, k: Tensor, v: Tensor, heads: int) -> bool:
    """Whether the kernel takes these: heads of its width, and memory as the copy engine wants it."""
    tensors = (q, k, v)
    return q.shape[-1] == heads * WIDTH.value and all(x.is_contiguous() and x.data_ptr() % 16 == 0 for x in tensors)


def _described(x: Tensor, rows: int) -> TensorDescriptor:
    block, layout = tile(rows)
    return TensorDescriptor.from_tensor(x, block, layout)


def tile(rows: int) -> tuple[list[int], gl.NVMMASharedLayout]:
    """What one copy brings of a tensor: shape, and layout in shared memory."""
    return [1, rows, WIDTH.value], gl.NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=3)


@gluon.jit(do_not_specialize=["n", "s"])
def _attend_space(q, k, v, result, n, s, c, scale):
    """q, k and v are tensor descriptors."""
    queries = gl.allocate_shared_memory(q.dtype, [2 * 3, 1, 64, WIDTH], q.layout)
    keys = gl.allocate_shared_memory(q.dtype, [SLOTS, 1, KEYS, WIDTH], k.layout)
    values = gl.allocate_shared_memory(q.dtype, [SLOTS, 1, KEYS, WIDTH], v.layout)
    # Barriers: of each slot, and of two tiles' queries.
    full = gl.allocate_shared_memory(gl.int64, [SLOTS + 2, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [SLOTS + 2, 1], mbarrier.MBarrierLayout())
    for i in gl.static_range(SLOTS + 2):
        mbarrier.init(full.index(i), count=1)
        mbarrier.init(empty.index(i), count=3)
    turns = gl.allocate_shared_memory(gl.int64, [3, 1], mbarrier.MBarrierLayout())
    for group in gl.static_range(3):
        mbarrier.init(turns.index(group), count=1)
    room = (queries, keys, values, full, empty, turns)
    gl.warp_specialize(
        [
            (_attend_group, (room, result, n, s, c, scale, 0)),
            (_attend_group, (room, result, n, s, c, scale, 1)),
            (_attend_group, (room, result, n, s, c, scale, 2)),
            (_load, (q, k, v, room, n, s, c)),
        ],
        [4, 4, 1],
        [160, 160, 24],
    )


@gluon.jit
def _place(tile, s, c):
    """A tile's first query, its image and its head's first channel. Tiles of a head run together: they share keys."""
    across = gl.cdiv(s, QUERIES)
    heads = c // WIDTH
    return tile % across * QUERIES, tile // across // heads, tile // across % heads * WIDTH


@gluon.jit
def _load(q, k, v, room, n, s, c):
    """A slot has the keys of one step beside the values of the step before: what is multiplied together."""
    queries, keys, values, full, empty, _ = room
    steps = gl.cdiv(s, KEYS)
    turn = 0
    visit = 0
    for tile in range(gl.program_id(0), gl.cdiv(s, QUERIES) * (c // WIDTH) * n, gl.num_programs(0)):
        row, image, channel = _place(tile, s, c)
        ready = full.index(SLOTS + visit % 2)
        mbarrier.wait(empty.index(SLOTS + visit % 2), (visit // 2 & 1) ^ 1)
        mbarrier.expect(ready, QUERIES * WIDTH * 2)
        for group in gl.static_range(3):
            at = queries.index(visit % 2 * 3 + group)
            tma.async_copy_global_to_shared(q, [image, row + 64 * group, channel], ready, at)
        visit += 1
        for step in range(steps + 1):
            key = (steps - 1 - step) * KEYS  # the last ones first: only they can reach over the edge
            slot = turn % SLOTS
            ready = full.index(slot)
            mbarrier.wait(empty.index(slot), (turn // SLOTS & 1) ^ 1)
            if (step > 0) & (step < steps):
                mbarrier.expect(ready, 2 * KEYS * WIDTH * 2)
            else:
                mbarrier.expect(ready, KEYS * WIDTH * 2)
            if step < steps:
                tma.async_copy_global_to_shared(k, [image, key, channel], ready, keys.index(slot))
            if step > 0:
                tma.async_copy_global_to_shared(v, [image, key + KEYS, channel], ready, values.index(slot))
            turn += 1


@gluon.jit
def _attend_group(room, result, n, s, c, scale, GROUP: gl.constexpr):
    queries, keys, values, full, empty, turns = room
    of_scores: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, KEYS, 16])
    of_result: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, WIDTH, 16])
    of_shares: gl.constexpr = gl.DotOperandLayout(operand_index=0, parent=of_result, k_width=2)
    steps = gl.cdiv(s, KEYS)
    turn = 0
    visit = 0
    order = 0
    for tile in range(gl.program_id(0), gl.cdiv(s, QUERIES) * (c // WIDTH) * n, gl.num_programs(0)):
        mbarrier.wait(full.index(SLOTS + visit % 2), visit // 2 & 1)
        a = queries.index(visit % 2 * 3 + GROUP).reshape([64, WIDTH])
        slot = turn % SLOTS
        mbarrier.wait(full.index(slot), turn // SLOTS & 1)
        nothing = gl.zeros([64, KEYS], gl.float32, of_scores)
        scores = warpgroup_mma(a, _turned(keys, slot), nothing, is_async=True)
        scores = warpgroup_mma_wait(0, deps=[scores])
        mbarrier.arrive(empty.index(slot), count=1)
        turn += 1
        key = (steps - 1) * KEYS + gl.arange(0, KEYS, gl.SliceLayout(0, of_scores))
        scores = gl.where((key < s)[None, :], scores, -float("inf"))
        most = gl.max(scores, 1) * scale
        shares = gl.exp2(scores * scale - most[:, None])
        total = _by_lane(shares)
        weights = gl.convert_layout(shares.to(result.dtype.element_ty), of_shares)
        out = gl.zeros([64, WIDTH], gl.float32, of_result)
        for _ in range(1, steps):
            # The products of a group's next scores and with its last ones, then its exponentials under the products of
            # the other groups. They take turns; left to themselves, all would multiply at once, and then none.
            slot = turn % SLOTS
            mbarrier.wait(full.index(slot), turn // SLOTS & 1)
            mbarrier.wait(turns.index(GROUP), (order & 1) ^ (GROUP == 0))
            scores = warpgroup_mma(a, _turned(keys, slot), nothing, use_acc=False, is_async=True)
            out = warpgroup_mma(weights, values.index(slot).reshape([KEYS, WIDTH]), out, is_async=True)
            mbarrier.arrive(turns.index((GROUP + 1) % 3), count=1)
            order += 1
            turn += 1
            scores = warpgroup_mma_wait(1, deps=[scores])
            higher = gl.maximum(most, gl.max(scores, 1) * scale)
            shrink = gl.exp2(most - higher)
            shares = gl.exp2(scores * scale - higher[:, None])
            most = higher
            total = total * gl.convert_layout(shrink, gl.SliceLayout(1, total.type.layout))[:, None] + _by_lane(shares)
            out, weights = warpgroup_mma_wait(0, deps=[out, weights])
            mbarrier.arrive(empty.index(slot), count=1)
            out = out * gl.convert_layout(shrink, gl.SliceLayout(1, of_result))[:, None]
            weights = gl.convert_layout(shares.to(result.dtype.element_ty), of_shares)
        mbarrier.arrive(empty.index(SLOTS + visit % 2), count=1)
        slot = turn % SLOTS
        mbarrier.wait(full.index(slot), turn // SLOTS & 1)
        out = warpgroup_mma(weights, values.index(slot).reshape([KEYS, WIDTH]), out, is_async=True)
        out = warpgroup_mma_wait(0, deps=[out])
        mbarrier.arrive(empty.index(slot), count=1)
        turn += 1
        visit += 1
        out = out / gl.convert_layout(gl.sum(total, 1), gl.SliceLayout(1, of_result))[:, None]
        row, image, channel = _place(tile, s, c)
        row += 64 * GROUP + gl.arange(0, 64, gl.SliceLayout(1, of_result))
        channel += gl.arange(0, WIDTH, gl.SliceLayout(0, of_result))
        at = result + (image * s + row).to(gl.int64)[:, None] * c + channel[None, :]
        gl.store(at, out.to(result.dtype.element_ty), (row < s)[:, None])


@gluon.jit
def _turned(keys, slot):
    return keys.index(slot).reshape([KEYS, WIDTH]).permute((1, 0))


@gluon.jit
def _by_lane(x):
    """Sums over what a thread has of each row, (64 KEYS) -> (64 4): the lanes' sums are added at the end only."""
    return gl.sum(gl.sum(x.reshape([64, KEYS // 8, 4, 2]), 3), 1)
