"""A system is a frozen record of everything that defines a model but its weights; variants come from `replace()`."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pixeldance.codec import Codec, CodecConfig, KLConfig, build_codec
from pixeldance.condition import ImageSlots, VectorPart, vector_width
from pixeldance.diffusion.denoise import Cond, Denoiser, PredictionType
from pixeldance.diffusion.given import Held
from pixeldance.diffusion.guide import Window
from pixeldance.diffusion.noise import Iid, Prior
from pixeldance.diffusion.process import EDM, VE, VP, Flow, Spacing, grid
from pixeldance.diffusion.sample import SolverName
from pixeldance.diffusion.warp import Warped
from pixeldance.instruction import FIRST, Instruction
from pixeldance.nets.refiner import Refiner, RefinerConfig
from pixeldance.nets.text import CLIPConfig, PictureConfig, TextConfig, TextEncoder, build_text
from pixeldance.nets.unet import UNet, UNetConfig


@runtime_checkable
class Reads(Protocol):
    """How much text is read: up to `length` - 1 words."""

    @property
    def length(self) -> int: ...


@runtime_checkable
class Maker(Protocol):
    """What a request asks of whatever makes its video: a system, or the abilities of a pretrained pipeline."""

    @property
    def text(self) -> Reads: ...
    @property
    def frames(self) -> tuple[int, ...]: ...
    @property
    def clips(self) -> tuple[int, ...]: ...
    @property
    def sizes(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def stills(self) -> bool: ...
    @property
    def fps(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def guidance(self) -> float: ...
    def length(self, frames: int | None) -> int: ...
    def size(self, height: int | None, width: int | None) -> tuple[int, int]: ...
    def check(self, instruction: Instruction) -> None: ...


@dataclass(frozen=True, kw_only=True)
class System:
    """The parts of a latent video diffusion model, and what it was trained to make.

    frames: the lengths it can make, the usual one first; 1 is an image. sizes: (height, width) in pixels, the usual
    one first. fps: of its training videos. steps, guidance, interval, solver: what sampling uses where the request does
    not say; the interval is that of noise levels, 0 clean to 1 pure noise, at which text guidance works.
    vector: what the network is told in its vector condition, in this order: the text as one vector, frames per second,
    height and width in pixels (Stable Diffusion XL's micro-conditions, arXiv 2307.01952), frames per second less one,
    how much moves, and the deviation of the noise in the pictures' pixels (Stable Video Diffusion's, arXiv 2311.15127).
    motion: how much moves where the request does not say, 0 to 255.
    spacing: of the grid of noise levels that is walked. guided: what the unconditional term of guidance leaves out.
    trained: the parts that training changes; the codec never is one of them.
    noise: what it is noised with. held: a rule for pictures of frames that have no slot, None: they are refused.
    window: videos that are longer than this are made as overlapping windows, all of them together.
    warp: how the frames of a model of pictures come to move, None for one that knows how things move.
    guidance_first: the guidance at the first frame, from which it rises evenly to that at the last; None: all alike.
    refiner: a network that mends the estimates at little noise (`nets.refiner`).
    text_to_image: a model of pictures that makes them, and the first frame where a request has none, reading the text
    with this one's encoder; None: the network does so itself, in its image mode.
    step_offset: added to the noise level that the network is told, 1000 t; -1 for networks that were trained on DDPM's
    steps counted from 0, as Stable Diffusion's.
    """

    codec: CodecConfig
    text: TextConfig
    net: UNetConfig
    process: VP | VE | Flow | EDM
    prediction: PredictionType
    noise: Prior = Iid()
    condition: ImageSlots = ImageSlots()
    frames: tuple[int, ...] = (16, 1)
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    fps: float = 8.0
    steps: int = 25
    guidance: float = 2.0
    interval: tuple[float, float] = (0.0, 1.0)
    solver: SolverName = "dpmpp_2m"
    vector: tuple[VectorPart, ...] = ("text",)
    trained: tuple[str, ...] = ("text", "net")
    step_offset: float = 0.0
    held: Held | None = None
    window: Window | None = None
    warp: Warped | None = None
    guidance_first: float | None = None
    spacing: Spacing = "uniform"
    guided: Literal["text", "pictures"] = "text"
    motion: float = 127.0
    refiner: RefinerConfig | None = None
    text_to_image: "System | None" = None

    def __post_init__(self) -> None:
        if len(set(self.vector)) < len(self.vector) or not set(self.vector) <= set(get_args(VectorPart)):
            raise ValueError(f"got vector={self.vector}; wanted each of {get_args(VectorPart)} at most once")
        if self.trained != ("refiner",) and (not set(self.trained) <= {"text", "net"} or not self.trained):
            raise ValueError(f"got trained={self.trained}; wanted 'text', 'net' or both, or 'refiner' alone")
        if self.refiner is None and "refiner" in self.trained:
            raise ValueError("got trained=('refiner',) and no refiner; give the system one")
        if self.refiner is not None:
            self._check_refiner(self.refiner)
        if self.text_to_image is not None:
            self._check_text_to_image(self.text_to_image)
        if "text" in self.trained and isinstance(self.text, CLIPConfig | PictureConfig):
            kind = f"a CLIP {self.text.reads} encoder"
            raise ValueError(f"got {kind} to be trained, which is always frozen; wanted trained=('net',)")
        slots, vector = self.condition.channels(self.net.channels), vector_width(self.vector, self.text.width)
        wanted, got = (slots, self.text.width, vector), (self.net.concat, self.net.tokens, self.net.vector)
        if got != wanted:
            raise ValueError(
                f"got a net with (concat, tokens, vector) = {got}; these slots, this text encoder and vector="
                f"{self.vector} make {wanted}"
            )

    def _check_refiner(self, refiner: RefinerConfig) -> None:
        """Raise ValueError for one that cannot see this codec's pixels, or whose UNet does not fit its squares."""
        codec = self.codec
        if isinstance(codec, KLConfig) or codec.patch % refiner.patch or not self.condition.mask:
            raise ValueError(
                f"got a refiner of patch={refiner.patch} for {codec} and mask={self.condition.mask}; wanted a linear "
                "codec, whose patches are whole numbers of the refiner's, and pictures with their mask"
            )
        squares, net = codec.in_channels * refiner.patch**2, refiner.net
        wanted = (squares, self.condition.channels(squares), self.net.tokens, self.net.vector)
        got = (net.channels, net.concat, net.tokens, net.vector)
        if got != wanted:
            raise ValueError(
                f"got a refiner's net with (channels, concat, tokens, vector) = {got}; this codec and these conditions "
                f"make {wanted}"
            )

    def _check_text_to_image(self, pictures: "System") -> None:
        """Raise ValueError for one that makes no first frames for this system's videos from its texts."""
        if FIRST not in self.condition.places or 1 not in self.frames:
            raise ValueError(
                f"got a text-to-image model for a system of frames={self.frames} that takes "
                f"{self.condition.places}; wanted one that makes 1 frame too, and takes a first one"
            )
        if "text" in self.trained:
            raise ValueError("got a text-to-image model and trained='text', by which it reads; wanted ('net',)")
        if pictures.text != self.text or self.text.reads != "text" or pictures.condition.places:
            raise ValueError(
                f"got a text-to-image model that reads {pictures.text} and takes frames {pictures.condition.places}; "
                f"wanted one that reads texts by this system's encoder, {self.text}, and takes no frames"
            )
        if 1 not in pictures.frames or not set(self.sizes) <= set(pictures.sizes):
            raise ValueError(
                f"got a text-to-image model of frames={pictures.frames}, sizes={pictures.sizes}; wanted 1 frame, and "
                f"at least the sizes {self.sizes}"
            )

    @property
    def clips(self) -> tuple[int, ...]:
        """The lengths of clips that long videos are made of, rising."""
        return tuple(sorted(length for length in self.frames if length > 1))

    def grid(self, steps: int) -> Float[Tensor, "{steps}+1"]:
        """The times that sampling walks: with a refiner evenly until its last level, and from there to 0 at once."""
        if self.refiner is None:
            return grid(self.process, steps, self.spacing)
        return torch.cat([torch.linspace(1, self.refiner.until, steps, dtype=torch.float64), torch.zeros(1).double()])

    @property
    def stills(self) -> bool:
        """Whether its network makes a first frame that is missing, in as many steps as the video: not without a text,
        and not where a text-to-image model does."""
        return FIRST in self.condition.places and self.text.reads == "text" and self.text_to_image is None

    def unguided(self, instruction: Instruction) -> Instruction:
        """The request of the unconditional term of guidance: without the text, or without pictures."""
        return replace(instruction, frames={}) if self.guided == "pictures" else instruction.without(text=True)

    def told(self, instruction: Instruction) -> Instruction:
        """The request as the network is told it: without the pictures that `held` sees to."""
        if self.held is None:
            return instruction
        slotted = {index: image for index, image in instruction.frames.items() if index in self.condition.places}
        return replace(instruction, frames=slotted)

    def length(self, frames: int | None) -> int:
        """A number of frames that it can make, None: its own. Raises ValueError for others, naming the nearest."""
        wanted = self.frames[0] if frames is None else frames
        if wanted not in self.frames:
            near = min(self.frames, key=lambda possible: abs(possible - wanted))
            raise ValueError(f"got {wanted} frames; this model makes {' or '.join(map(str, self.frames))}: try {near}")
        return wanted

    def size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """A height and width that it can make, None: its own. Raises ValueError for others, naming the nearest."""
        own = self.sizes[0]
        wanted = (own[0] if height is None else height, own[1] if width is None else width)
        if wanted not in self.sizes:
            near = min(self.sizes, key=lambda size: abs(size[0] - wanted[0]) + abs(size[1] - wanted[1]))
            known = " or ".join(f"{w}x{h}" for h, w in self.sizes)
            raise ValueError(
                f"got a size of {wanted[1]}x{wanted[0]} (width x height); this model makes {known}: try "
                f"{near[1]}x{near[0]}"
            )
        return wanted

    def check(self, instruction: Instruction) -> None:
        """Raise ValueError for pictures of frames that the model cannot take, or that the video does not have, and for
        a first one that is missing where the model reads it in the text's place."""
        if self.text.reads == "picture" and FIRST not in instruction.frames:
            raise ValueError("got no first frame, which this model reads in the text's place; wanted one")
        self.condition.check(self.told(instruction))
        beyond = sorted(index for index in instruction.frames if not -instruction.length <= index < instruction.length)
        if beyond:
            raise ValueError(f"got pictures for frames {beyond} of a video of {instruction.length}; wanted fewer")


class Parts(nn.Module):
    """The networks of a system: codec, text encoder, denoising net, and where it has them the refiner and the parts of
    the text-to-image model, which reads by this one's text encoder."""

    text: TextEncoder

    def __init__(self, system: System, text: TextEncoder | None = None) -> None:
        """text: the encoder of another model to read by (`read_by`); None builds one."""
        super().__init__()
        self.system = system
        self.codec: Codec = build_codec(system.codec)
        if text is None:
            self.text = build_text(system.text)
        else:
            self.read_by(text)
        self.net = UNet(system.net)
        self.refiner = Refiner(system.refiner) if system.refiner is not None else None
        self.text_to_image = Parts(system.text_to_image, self.text) if system.text_to_image is not None else None

    def read_by(self, text: TextEncoder) -> None:
        """Read texts by an encoder that is kept, moved and trained with another model: it is no part of this one."""
        object.__setattr__(self, "text", text)

    @property
    def unets(self) -> tuple[UNet, ...]:
        """The net, and the refiner's where there is one."""
        return (self.net,) if self.refiner is None else (self.net, self.refiner.unet)

    @property
    def denoiser(self) -> Denoiser:
        """The net as a function from (x_t, t, cond) to x0, which the refiner has mended where it is asked."""
        system = self.system
        denoiser = Denoiser(self.net, system.process, system.prediction, step_offset=system.step_offset)
        return denoiser if system.refiner is None else replace(denoiser, mend=self.mend, below=system.refiner.below)

    def mend(self, x0: Float[Tensor, "b f c h w"], t: Float[Tensor, "..."], cond: Cond) -> Float[Tensor, "b f c h w"]:
        """What the refiner makes of clean estimates at levels t, (b,) or (b, f). The system must have one."""
        assert self.refiner is not None
        mended: Tensor = self.refiner(x0, 1000 * t, codec=self.codec, **cond.doors())
        return mended.float()
