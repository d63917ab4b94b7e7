"""What can be seen of a video while it is made: the clean estimate x0 of its last step, decoded, as a small loop."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from pixeldance.atomic import atomic_file
from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Noise
from pixeldance.diffusion.sample import Memory, Span, Step

Frames = UInt8[ndarray, "f h w 3"]
SHARE = 0.1  # of the time, at most, goes into previews
LARGEST = 256  # pixels of their longer side


def watched(step: Step, seen: Callable[[Float[Tensor, "b f z i j"]], object]) -> Step:
    """The same solver; `seen` is given the clean estimate that each of its steps begins with."""

    def over(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        first = True

        def looked_at(x: Tensor, t: Tensor) -> Tensor:
            nonlocal first
            x0 = denoise(x, t)
            if first:
                first = False
                seen(x0)
            return x0

        return step(looked_at, x, span, noise, memory)

    return over


def previewing(
    file: Path, decode: Callable[[Tensor], list[Frames]], fps: float
) -> Callable[[Float[Tensor, "b f z i j"]], None]:
    """Writes the newest estimate to `file` whenever that costs no more than its share of the time. A preview that
    cannot be written is left out: it is worth no job."""
    due = 0.0

    def show(x0: Tensor) -> None:
        nonlocal due
        start = time.perf_counter()
        if start < due or not bool(x0.isfinite().all()):
            return
        with suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            write_loop(file, decode(x0)[0], fps)
        end = time.perf_counter()
        due = end + (end - start) * (1 / SHARE - 1)

    return show


def write_loop(file: Path, frames: Frames, fps: float) -> None:
    """Frames as a small animated WebP, in the place of an earlier one."""
    height, width = frames.shape[1:3]
    scale = min(1.0, LARGEST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pictures = [Image.fromarray(frame).resize(size) for frame in frames]
    with atomic_file(file, overwrite=True) as part:
        pictures[0].save(
            part,
            "WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=max(20, round(1000 / fps)),
            loop=0,
            quality=80,
            method=0,
        )
