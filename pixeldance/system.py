"""A system is a frozen record of everything that defines a model but its weights; variants come from `replace()`."""

from dataclasses import dataclass

from torch import nn

from pixeldance.codec import Codec, CodecConfig, build_codec
from pixeldance.condition import ImageSlots
from pixeldance.diffusion.denoise import Denoiser, PredictionType
from pixeldance.diffusion.noise import Iid
from pixeldance.diffusion.process import EDM, VE, VP, Flow
from pixeldance.nets.text import TextConfig, TextEncoder, build_text
from pixeldance.nets.unet import UNet, UNetConfig


@dataclass(frozen=True, kw_only=True)
class System:
    """The parts of a latent video diffusion model, and what it was trained to make.

    frames: the lengths it can make, the usual one first; 1 is an image. sizes: (height, width) in pixels, the usual
    one first. fps: of its training videos. steps, guidance: what sampling uses where the request does not say.
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

    def __post_init__(self) -> None:
        vector = self.text.width if self.net.vector else 0
        wanted = (self.condition.channels(self.net.channels), self.text.width, vector)
        got = (self.net.concat, self.net.tokens, self.net.vector)
        if got != wanted:
            raise ValueError(
                f"got a net with (concat, tokens, vector) = {got}; these slots and this text encoder make {wanted}"
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
