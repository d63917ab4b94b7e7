"""One captioned video, the unit in which all training and evaluation data comes: in pixels, or encoded."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A captioned video in memory.

    `video` is uint8 (f, h, w, 3), RGB; `text` says what it shows; `fps` is in frames per second.
    `focus`, where known, is bool (f, h, w): the pixels of the objects, so that a loss can weigh them.
    `drawn`, where there is one, is uint8 (h, w, 3): a drawing of the last frame, to be given in its place.
    """

    video: NDArray[np.uint8]
    text: str
    fps: float
    focus: NDArray[np.bool_] | None = None
    drawn: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.video.dtype != np.uint8 or self.video.ndim != 4 or self.video.shape[-1] != 3:
            raise ValueError(
                f"video: got {self.video.dtype} {self.video.shape}, wanted uint8 (f, h, w, 3); "
                "convert pixels to 0..255 and put the colour channels last"
            )
        if self.focus is not None and self.focus.shape != self.video.shape[:3]:
            raise ValueError(f"focus: got {self.focus.shape}, wanted {self.video.shape[:3]}; give one bool a pixel")
        if self.drawn is not None and self.drawn.shape != self.video.shape[1:]:
            raise ValueError(f"drawn: got {self.drawn.shape}, wanted {self.video.shape[1:]}, the size of a frame")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A captioned clip in a codec's latents: what a training step takes.

    fps: frames per second, None where it is not known. size: (height, width) in pixels of what was encoded, None
    where it is not known. focus: for each latent position the share of its pixels that belong to an object, 0 to 1.
    drawn: a drawing of the last frame, to be given in its place.
    """

    text: str
    latents: Float[Tensor, "f c h w"]
    fps: float | None = None
    size: tuple[int, int] | None = None
    focus: Float[Tensor, "f h w"] | None = None
    drawn: Float[Tensor, "c h w"] | None = None
