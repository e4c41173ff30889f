"""From the sampler's latent to frames; also in pieces that fit into a given room, with the pixels of the whole.

What a decoder does within frames is done a few frames at a time. What it does over time is done for some places of all
frames at a time: its convolutions see one place only, and its norms, which see all of them, take their statistics in a
first pass over the pieces and are applied in a second. So nothing is larger than the clip's own feature map but that.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .config import VAEConfig
from .errors import InputError, NonFiniteError
from .inference import inference
from .kernels import group_norm, temporal_conv, temporal_conv_onto
from .kernels.group_norm import Moments, factors, scaled
from .layers import TimeResBlock, Upsample, as_clip, as_images, share
from .vae import VAE, ResnetBlock, VideoResnetBlock

FEWEST = 1024  # places worth a piece
MAPS = 6  # feature maps that a block holds at once beside its input and its result


@inference
def decode(
    vae: VAE,
    latent: Tensor,
    frames: int | Sequence[int],
    frames_per_chunk: int | None = None,
    callback: Callable[[int, int], None] | None = None,
    room: int | None = None,
    spill: bool = False,
) -> Tensor:
    """The sampler's latent to frames: (b t) c h w -> (b t) 3 H W fp32 in 0..1.

    frames: of every clip; or of each, where they differ.
    `frames_per_chunk` is part of the result: the temporal layers see one chunk at a time, and a chunk never spans two
    clips. None decodes each clip whole. `room` is not: a chunk that needs more bytes for its temporary tensors is
    decoded in pieces, with the same pixels; `spill` then also parks feature maps in main memory. callback(frames done,
    frames in all) follows each chunk.
    InputError on a chunk below 1 or frames that do not fit; NonFiniteError names the frames in which NaN or infinity
    appeared.
    """
    clips = _clips(len(latent), frames)
    size = max(clips) if frames_per_chunk is None else frames_per_chunk
    if size < 1:
        raise InputError(f"frames_per_chunk is {size}: decode at least 1 frame at a time (14 is usual).")
    chunks = [chunk for clip in latent.split(clips) for chunk in clip.split(size)]
    decoded: list[Tensor] = []
    done = 0
    for chunk in chunks:
        images = _decode(vae, chunk / vae.config.scaling_factor, room, spill).float()
        if not images.isfinite().all():
            raise NonFiniteError(
                f"Decoding frames {done} to {done + len(chunk) - 1} gave NaN or infinity: load the VAE in bf16 or fp32."
            )
        decoded.append((images / 2 + 0.5).clamp(0, 1))
        done += len(chunk)
        if callback is not None:
            callback(done, len(latent))
    return torch.cat(decoded)


def _clips(latents: int, frames: int | Sequence[int]) -> list[int]:
    """How many frames each clip has."""
    clips = [frames] * (latents // max(frames, 1)) if isinstance(frames, int) else list(frames)
    if not clips or min(clips) < 1 or sum(clips) != latents:
        raise InputError(f"{latents} latents are no whole clips of {frames} frames.")
    return clips


def _decode(vae: VAE, z: Tensor, room: int | None, spill: bool) -> Tensor:
    """One chunk of one clip, whole if the room allows it, or if hooks bring the weights: those want whole calls."""
    brought = any(p.is_meta for p in vae.decoder.parameters())
    if brought or room is None or room >= whole(vae.config, len(z), z.shape[-2], z.shape[-1], vae.dtype.itemsize):
        return vae.decode(z, frames=len(z))
    return decode_in_pieces(vae, z, len(z), room, spill)


def whole(config: VAEConfig, frames: int, height: int, width: int, itemsize: int) -> int:
    """Bytes that decoding `frames` frames at once takes at its peak; height and width of the latent.

    Three feature maps of the finest level's first input, which has the level below's width, at full size; rounded up.
    """
    places = height * width * config.downscale**2
    return 4 * frames * places * config.block_out_channels[:2][-1] * itemsize


@inference
def decode_in_pieces(vae: VAE, latent: Tensor, frames: int, room: int, spill: bool = False) -> Tensor:
    """What vae.decode(latent, frames) gives, (b t) c h w -> (b t) 3 H W, with temporary tensors of about `room` bytes.

    The clip's feature map at full resolution comes on top of the room: 128 channels in the network's precision. So does
    half as much of the level before, unless `spill` parks that in main memory.
    """
    decoder = vae.decoder
    z = vae.post_quant_conv(latent.to(vae.dtype).contiguous(memory_format=torch.channels_last))
    h, upsample = decoder.mid(decoder.conv_in(z), frames), None
    for level in reversed(decoder.up):
        for block in level.block:
            if spill and upsample is not None:
                h = h.cpu()
            h = by_frames(_within_frames(block, upsample), h, room, z.device)
            upsample = None
            if isinstance(block, VideoResnetBlock):
                over_time(block.time_stack, h, frames, share(block.mix_factor, h.device), room)
        upsample = level.upsample
    h = by_frames(lambda x: decoder.conv_out(group_norm(x, decoder.norm_out)), h, room, z.device)
    if hasattr(decoder.conv_out, "time_mix_conv"):
        h = as_images(decoder.conv_out.time_mix_conv(as_clip(h, frames)), h.shape[-2])
    return h


def _within_frames(block: ResnetBlock, upsample: Upsample | None) -> Callable[[Tensor], Tensor]:
    return lambda x: ResnetBlock.forward(block, x if upsample is None else upsample(x), frames=1)


def by_frames(work: Callable[[Tensor], Tensor], x: Tensor, room: int, device: torch.device) -> Tensor:
    """work(x) on the device for something that treats every frame by itself, a few frames at a time; in x if it fits.

    x is used up.
    """
    frames, first = len(x), work(x[:1].to(device))
    fits = x.device == device and x.shape[1:] == first.shape[1:]
    result = x if fits else _like(first, frames)
    most = max(max(y[0].numel() for y in (x, first)), x.shape[1] * first.shape[2] * first.shape[3])
    step = max(room // (MAPS * most * x.element_size()), 1)
    result[:1] = first
    rest = x[1:]
    if x.device == device and not fits and x[0].numel() <= first.numel():
        # A smaller map waits in the end of the result's memory: a frame that is written never reaches what is to come.
        rest = _end(result, rest)
        x.data = rest  # whoever still has x would hold its memory
    del first, x
    for begin in range(0, len(rest), step):
        result[1 + begin : 1 + begin + step] = work(rest[begin : begin + step].to(device))
    return result


def _end(memory: Tensor, x: Tensor) -> Tensor:
    """x copied into the last places of a larger map's memory, both channels-last."""
    n, c, h, w = x.shape
    end = memory.permute(0, 2, 3, 1).flatten()[memory.numel() - x.numel() :]
    return end.view(n, h, w, c).permute(0, 3, 1, 2).copy_(x)


def _like(frame: Tensor, frames: int) -> Tensor:
    shape = (frames, *frame.shape[1:])
    return torch.empty(shape, device=frame.device, dtype=frame.dtype, memory_format=torch.channels_last)


def over_time(block: TimeResBlock, images: Tensor, frames: int, share: Tensor, room: int) -> None:
    """The block's blend in place of images (b t) c h w."""
    norm_in, _, conv_in = block.in_layers
    norm_out, _, _, conv_out = block.out_layers
    n, c, height, width = images.shape
    clip = images.permute(0, 2, 3, 1).view(n // frames, frames, height * width, c).permute(0, 3, 1, 2)  # b c t s
    before = factors([Moments.of(images).of_clips(frames)], norm_in)

    def halfway(places: slice) -> tuple[Tensor, Tensor]:
        x = clip[..., places].contiguous(memory_format=torch.channels_last)
        y, bias = temporal_conv(scaled(x, *before), conv_in)
        return x, y if bias is None else y + bias[:, None, None]

    pieces = list(_bands(clip, room))
    after = factors([Moments.of(halfway(places)[1]) for places in pieces], norm_out)
    for places in pieces:
        x, y = halfway(places)
        clip[..., places], _ = temporal_conv_onto(x, share, scaled(y, *after), conv_out)


def _bands(clip: Tensor, room: int) -> Iterator[slice]:
    """Runs of places whose maps fit into the room."""
    total = clip.shape[-1]
    step = max(room * total // (MAPS * clip.numel() * clip.element_size()), FEWEST)
    for begin in range(0, total, step):
        yield slice(begin, begin + step)
