"""A system is a frozen record of everything that defines a model but its weights; variants come from `replace()`."""

from dataclasses import dataclass
from typing import get_args

from torch import nn

from pixeldance.codec import Codec, CodecConfig, build_codec
from pixeldance.condition import ImageSlots, VectorPart, vector_width
from pixeldance.diffusion.denoise import Denoiser, PredictionType
from pixeldance.diffusion.noise import Iid
from pixeldance.diffusion.process import EDM, VE, VP, Flow
from pixeldance.nets.text import CLIPConfig, TextConfig, TextEncoder, build_text
from pixeldance.nets.unet import UNet, UNetConfig


@dataclass(frozen=True, kw_only=True)
class System:
    """The parts of a latent video diffusion model, and what it was trained to make.

    frames: the lengths it can make, the usual one first; 1 is an image. sizes: (height, width) in pixels, the usual
    one first. fps: of its training videos. steps, guidance: what sampling uses where the request does not say.
    vector: what the network is told in its vector condition, in this order: the text as one vector, frames per second,
    height and width in pixels (Stable Diffusion XL's micro-conditions, arXiv 2307.01952).
    trained: the parts that training changes; the codec never is one of them.
    """

    codec: CodecConfig
    text: TextConfig
    net: UNetConfig
    process: VP | VE | Flow | EDM
    prediction: PredictionType
    noise: Iid = Iid()
    condition: ImageSlots = ImageSlots()
    frames: tuple[int, ...] = (16, 1)
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    fps: float = 8.0
    steps: int = 25
    guidance: float = 2.0
    vector: tuple[VectorPart, ...] = ("text",)
    trained: tuple[str, ...] = ("text", "net")

    def __post_init__(self) -> None:
        if len(set(self.vector)) < len(self.vector) or not set(self.vector) <= set(get_args(VectorPart)):
            raise ValueError(f"got vector={self.vector}; wanted each of {get_args(VectorPart)} at most once")
        if not set(self.trained) <= {"text", "net"} or not self.trained:
            raise ValueError(f"got trained={self.trained}; wanted 'text', 'net' or both")
        if "text" in self.trained and isinstance(self.text, CLIPConfig):
            raise ValueError("got a CLIP text encoder to be trained, which is always frozen; wanted trained=('net',)")
        slots, vector = self.condition.channels(self.net.channels), vector_width(self.vector, self.text.width)
        wanted, got = (slots, self.text.width, vector), (self.net.concat, self.net.tokens, self.net.vector)
        if got != wanted:
            raise ValueError(
                f"got a net with (concat, tokens, vector) = {got}; these slots, this text encoder and vector="
                f"{self.vector} make {wanted}"
            )


class Parts(nn.Module):
    """The networks of a system: codec, text encoder and denoising net."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system
        self.codec: Codec = build_codec(system.codec)
        self.text: TextEncoder = build_text(system.text)
        self.net = UNet(system.net)

    @property
    def denoiser(self) -> Denoiser:
        """The net as a function from (x_t, t, cond) to x0."""
        return Denoiser(self.net, self.system.process, self.system.prediction)
