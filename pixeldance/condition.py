"""Instructions to conditions: how texts, pictures, rate and size reach the five doors of a network.

The picture condition is PixelDance's c_image = [f_first, PAD, ..., PAD, f_last] (arXiv 2311.10982, sec. 3.3), the
latents of the given frames at their places in time, joined to the noisy video on the channel axis. Each may be noised,

    c <- sqrt(1 - n) c + sqrt(n) eps,   n a constant share or one that follows the noise of the video
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.diffusion.denoise import Cond
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.attention import sinusoids
from pixeldance.nets.text import Read, TextCode

VectorPart = Literal["text", "fps", "size", "fps-1", "motion", "noise"]
MICRO = 256
"""Width of the code of one number in the vector condition: Stable Diffusion XL's (arXiv 2307.01952, sec. 2.2)."""


@dataclass(frozen=True, kw_only=True)
class ScheduledNoise:
    """A share of noise that follows the video's own, v = sigma^2 / (alpha^2 + sigma^2): min(most, factor v)."""

    factor: float = 1.0
    most: float = 1.0

    def __post_init__(self) -> None:
        if self.factor < 0 or not 0 <= self.most <= 1:
            raise ValueError(f"got factor={self.factor}, most={self.most}; wanted factor >= 0 and most from 0 to 1")

    def at(self, video: float) -> float:
        """The share in a picture beside a video whose share is `video`, 0 to 1."""
        return min(self.most, self.factor * video)


@dataclass(frozen=True, kw_only=True)
class ImageSlots:
    """Which frames may be given, and how they are laid out. The paper leaves pad, mask and tile open: switches.

    first: so many leading frames, 0, 1, ..., first - 1, have a slot; 1 is PixelDance's. last: the last frame has one.
    With first=0 and last=False the network has no picture condition at all.
    pad: the value between the frames and in place of a frame that is not given. mask: a channel that is 1 where a
    frame is given. tile: the first and the last frame are each repeated over all frames in channels of their own, mask
    included, instead of standing at their places in time; so is a first frame alone.
    noise: the share of noise variance in the latents of the leading frames and of the last, 0 to 1 or scheduled by
    the video's own; the paper's is that of DDPM's step 100 (`share_at_step`). noise_at_inference: also when sampling.
    pixel_noise: deviation of the noise that sampling adds to the pixels of the pictures before the codec sees them
    (Stable Video Diffusion's augmentation, arXiv 2311.15127). scale: their latents are told times this number.
    """

    first: int = 1
    last: bool = True
    pad: float = 0.0
    mask: bool = True
    tile: bool = False
    noise: tuple[float | ScheduledNoise, float | ScheduledNoise] = (0.0, 0.0)
    noise_at_inference: bool = False
    pixel_noise: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError(f"got slots for {self.first} leading frames; wanted 0 or more")
        if self.tile and self.places not in ((0,), (0, LAST)):
            raise ValueError(
                f"got tiled slots for frames {self.places}; only a first frame is tiled, alone or with a last one: "
                "first=1"
            )
        if self.pixel_noise < 0:
            raise ValueError(f"got pixel_noise={self.pixel_noise}; wanted a deviation, 0 or more")
        for share in self.noise:
            if not isinstance(share, ScheduledNoise) and not 0 <= share <= 1:
                raise ValueError(f"got a share of noise of {share}; wanted 0 (clean) to 1 (nothing but noise)")

    @property
    def places(self) -> tuple[int, ...]:
        """The frame numbers that have a slot, in order."""
        return (*range(self.first), *([LAST] if self.last else []))

    def channels(self, latent: int) -> int:
        """How many channels the condition has for latents of `latent` channels."""
        if not self.places:
            return 0
        return (latent + self.mask) * (len(self.places) if self.tile else 1)

    def check(self, instruction: Instruction) -> None:
        """Raise ValueError where a picture is given for a frame that has no slot, or that the video does not have."""
        wrong = sorted(set(instruction.frames) - set(self.places))
        if wrong:
            raise ValueError(f"got pictures for frames {wrong}; this model takes {self._taken()}")
        beyond = sorted(index for index in instruction.frames if index >= instruction.length)
        if beyond:
            raise ValueError(
                f"got pictures for frames {beyond} of a video of {instruction.length}, counted from 0; "
                "wanted fewer, or a longer video"
            )

    def noise_of(self, frame: int) -> float | ScheduledNoise:
        """The noise setting of a frame number."""
        return self.noise[frame == LAST]

    @property
    def noise_varies(self) -> bool:
        """Whether the pictures have more or less noise in them from one step of sampling to the next."""
        return self.noise_at_inference and any(isinstance(share, ScheduledNoise) for share in self.noise)

    def _taken(self) -> str:
        leading = {0: [], 1: ["a first (0)"]}.get(self.first, [f"leading (0 to {self.first - 1})"])
        return " and ".join(leading + ["a last (-1)"] * self.last) + " frame" if self.places else "none"


PictureNoise = Mapping[int, Float[Tensor, "c h w"]]
"""Frame number -> the standard normal noise of that picture."""


def picture_noise(instruction: Instruction, slots: ImageSlots, rng: Generator) -> PictureNoise:
    """Noise for each given picture whose slot is noised; the frames of the instruction are latents."""
    return {
        frame: torch.randn(_latent(instruction, frame).shape, generator=rng)
        for frame in slots.places
        if frame in instruction.frames and slots.noise_of(frame) != 0
    }


def noised(instruction: Instruction, slots: ImageSlots, noise: PictureNoise, video: float) -> Instruction:
    """The same request with noise in its pictures; video: the noise share of the video they stand beside, 0 to 1."""
    frames = dict(instruction.frames)
    for frame in noise.keys() & frames.keys():
        share = slots.noise_of(frame)
        share = share.at(video) if isinstance(share, ScheduledNoise) else share
        frames[frame] = (1 - share) ** 0.5 * _latent(instruction, frame) + share**0.5 * noise[frame]
    return replace(instruction, frames=frames)


def condition(
    instructions: Sequence[Instruction],
    *,
    text: Callable[[tuple[Any, ...]], TextCode],
    slots: ImageSlots,
    shape: tuple[int, int, int],
    vector: Sequence[VectorPart] = ("text",),
    reads: Read = "text",
) -> Cond:
    """The conditions of a batch of instructions of one length, whose frames are latents of shape (c, h, w).

    vector: what the vector condition holds, in this order. reads: what the encoder `text` wants of each instruction.
    Raises ValueError for several lengths in a batch, and for pictures that have no slot.
    """
    lengths = {instruction.length for instruction in instructions}
    if len(lengths) != 1:
        raise ValueError(f"got instructions of {sorted(lengths)} frames in one batch; wanted one length")
    for each in instructions:
        slots.check(each)
    code = text(tuple(map(READS[reads], instructions)))
    return Cond(
        tokens=code.tokens,
        mask=code.mask,
        vector=_vector(instructions, code, slots, vector) if vector else None,
        concat=_pictures(instructions, slots, shape).to(code.tokens.device) if slots.places else None,
    )


def vector_width(parts: Sequence[VectorPart], text: int) -> int:
    """The width of a vector condition of these parts, for texts whose vector is `text` wide."""
    return sum({"text": text, "size": 2 * MICRO}.get(part, MICRO) for part in parts)


def first_seen(instruction: Instruction) -> Float[Tensor, "3 H W"] | None:
    """The first frame in [-1, 1], None without one. Raises ValueError where it is there as latents alone."""
    if FIRST not in instruction.frames:
        return None
    if FIRST not in instruction.seen:
        raise ValueError("got a first frame as latents alone; this model also reads its pixels: Instruction.seen[0]")
    return instruction.seen[FIRST]


READS: Mapping[Read, Callable[[Instruction], Any]] = {"text": lambda each: each.text, "picture": first_seen}
"""What an encoder reads of an instruction."""


def _vector(
    instructions: Sequence[Instruction], code: TextCode, slots: ImageSlots, parts: Sequence[VectorPart]
) -> Float[Tensor, "b v"]:
    """The text's vector and the codes of rate, size, motion and noise in the pixels, joined in the order of `parts`."""
    rates = [each.fps if each.length > 1 else None for each in instructions]
    known = {
        "text": lambda: [code.vector],
        "fps": lambda: [_micro(rates)],
        "fps-1": lambda: [_micro([None if rate is None else rate - 1 for rate in rates])],
        "motion": lambda: [_micro([each.motion for each in instructions])],
        "noise": lambda: [_micro([slots.pixel_noise for _ in instructions])],
        "size": lambda: [_micro([each.size and each.size[side] for each in instructions]) for side in (0, 1)],
    }
    return torch.cat([piece.to(code.vector) for part in parts for piece in known[part]()], dim=1)


def _micro(numbers: Sequence[float | None]) -> Float[Tensor, "b m"]:
    """Sinusoids of each number; what is not known is all zeros, which no number's are."""
    known = torch.tensor([number is not None for number in numbers])
    return sinusoids(torch.tensor([number or 0.0 for number in numbers]), MICRO) * known[:, None]


def _latent(instruction: Instruction, frame: int) -> Float[Tensor, "c h w"]:
    return torch.as_tensor(instruction.frames[frame]).to("cpu", torch.float32)


def _pictures(
    instructions: Sequence[Instruction], slots: ImageSlots, shape: tuple[int, int, int]
) -> Float[Tensor, "b f k h w"]:
    """The slots at their places in time, or each over all of it; stored (b, f, h, w, k)."""
    b, length = len(instructions), instructions[0].length
    c, height, width = shape
    given = torch.tensor([[frame in each.frames for frame in slots.places] for each in instructions])
    latents = torch.full((b, len(slots.places), c + slots.mask, height, width), slots.pad)
    for row, instruction in enumerate(instructions):
        for slot, frame in enumerate(slots.places):
            if frame in instruction.frames:
                latents[row, slot, :c] = slots.scale * _latent(instruction, frame)
    if slots.mask:
        latents[:, :, c] = given[:, :, None, None]
    if slots.tile:
        whole = latents.flatten(1, 2)[:, None].expand(b, length, -1, height, width)
    else:
        whole = torch.full((b, length, *latents.shape[2:]), slots.pad)
        whole[:, :, c:] = 0
        # From the last to the first: where a short video has one place for two of them, the leading frame has it.
        for slot, frame in reversed(list(enumerate(slots.places))):
            if frame < length:
                chosen = given[:, slot, None, None, None]
                whole[:, frame] = torch.where(chosen, latents[:, slot], whole[:, frame])
    return whole.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
