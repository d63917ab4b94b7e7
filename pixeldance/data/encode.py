"""Clips in pixels become examples in a codec's latents; examples pass through."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pixeldance.codec import Codec, from_pixels
from pixeldance.data.clip import Clip, Example


def encode(
    codec: Codec, clips: Sequence[Clip | Example], *, image: bool = False, device: torch.device | str = "cpu"
) -> list[Example]:
    """The latents of a batch on `device`, where the codec is; `image`: of their first frames alone.

    Raises ValueError where the clips are not all of one length and size: they are trained as one tensor.
    """
    if image:
        clips = [_first(clip) for clip in clips]
    shapes = {each.latents.shape if isinstance(each, Example) else (*each.video.shape,) for each in clips}
    if len(shapes) > 1:
        raise ValueError(
            f"got clips of shapes {sorted(map(tuple, shapes))} in one batch; wanted one: have the source give one "
            "length and one size"
        )
    return [each if isinstance(each, Example) else _encoded(codec, each, device) for each in clips]


def _first(clip: Clip | Example) -> Clip | Example:
    if isinstance(clip, Example):
        return replace(clip, latents=clip.latents[:1], focus=None if clip.focus is None else clip.focus[:1], drawn=None)
    return replace(clip, video=clip.video[:1], focus=None if clip.focus is None else clip.focus[:1], drawn=None)


def _encoded(codec: Codec, clip: Clip, device: torch.device | str) -> Example:
    """One at a time, so that the bytes do not depend on the neighbours; the codec takes frames together anyway."""
    latents = codec.encode(from_pixels(clip.video)[None].to(device))[0]
    focus = None if clip.focus is None else _pooled(clip.focus, codec.factor)
    drawn = None if clip.drawn is None else codec.encode(from_pixels(clip.drawn[None])[None].to(device))[0, 0]
    return Example(text=clip.text, latents=latents, fps=clip.fps, size=clip.video.shape[1:3], focus=focus, drawn=drawn)


def _pooled(focus: Bool[np.ndarray, "f y x"], factor: int) -> Float[Tensor, "f h w"]:
    """The square root of the share of object in each position: one that shows an edge counts for more than its area."""
    return F.avg_pool2d(torch.from_numpy(focus).float(), factor).sqrt()
