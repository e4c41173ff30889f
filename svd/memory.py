"""How much memory a device has left for tensors."""

import torch

LITTLE_ROOM = 2**29  # bytes for decoding's temporary tensors where memory is to be saved
CACHED_ROOM = 2**24  # the same on a processor, where what stays in its cache is the fastest


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a card, the allocator's own reserve counted in. None for other devices."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def decoding_room(device: torch.device, most: int | None = None, free: int | None = None) -> int | None:
    """What `decode` may take for temporary tensors: most of what is free, `most` bytes at most. None is no limit.

    free: bytes that a host's memory manager says can be had; None asks the card. Little on a processor: there, pieces
    take less time than the whole.
    """
    if device.type == "cpu":
        return CACHED_ROOM if most is None else min(CACHED_ROOM, most)
    free = free_memory(device) if free is None else free
    room = None if free is None else int(0.8 * free)
    return room if most is None else most if room is None else min(room, most)
