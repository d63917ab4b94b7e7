"""The record of one captioned video, the unit in which all training and evaluation data comes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A captioned video in memory.

    `video` is uint8 (f, h, w, 3), RGB; `text` says what it shows; `fps` is in frames per second.
    `focus`, where known, is bool (f, h, w): the pixels of the objects, so that a loss can weigh them.
    """

    video: NDArray[np.uint8]
    text: str
    fps: float
    focus: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.video.dtype != np.uint8 or self.video.ndim != 4 or self.video.shape[-1] != 3:
            raise ValueError(
                f"video: got {self.video.dtype} {self.video.shape}, wanted uint8 (f, h, w, 3); "
                "convert pixels to 0..255 and put the colour channels last"
            )
        if self.focus is not None and self.focus.shape != self.video.shape[:3]:
            raise ValueError(f"focus: got {self.focus.shape}, wanted {self.video.shape[:3]}; give one bool a pixel")
