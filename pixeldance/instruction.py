"""What a person asks for: the one request type of training, command line, planner and server.

A condition is dropped here, where "last frame" has a meaning, and never on tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

Image = UInt8[np.ndarray, "h w 3"]
Latent = Float[Tensor, "c h w"]
FIRST, LAST = 0, -1


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """A text and frames by index make a video of `length` frames of `size` (height, width), None: the model's own.

    frames: pictures at frame numbers (0 is the first, -1 the last), as uint8 pixels (h, w, 3) or as latents
    (c, h, w) of the model's codec: what one shot hands to the next is not decoded in between.
    fps: frames per second of the motion, None: the model's own. motion: how much moves, from 0 to 255, None: the
    model's own. A model that was not taught rates, motion or sizes does not look at them.
    seen: pictures that stand in `frames` as latents, as pixels in [-1, 1]: what an encoder of pictures reads.
    """

    text: str = ""
    frames: Mapping[int, Image | Latent] = field(default_factory=dict)
    length: int = 16
    size: tuple[int, int] | None = None
    fps: float | None = None
    motion: float | None = None
    seen: Mapping[int, Float[Tensor, "3 H W"]] = field(default_factory=dict)

    def without(self, *, text: bool = False, frame: int | None = None) -> "Instruction":
        """The same request with its text, or one of its frames, left out."""
        kept = {index: image for index, image in self.frames.items() if index != frame}
        return replace(self, text="" if text else self.text, frames=kept)
