"""A model of ours as a pipeline of diffusers: classes that diffusers itself loads and saves, around what is ours.

`pipeline.py` beside exported weights imports this module, so that stock `DiffusionPipeline.from_pretrained` opens them.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import nn

from pixeldance import checkpoint
from pixeldance.codec import build_codec
from pixeldance.exchange import names
from pixeldance.exchange.weights import taken
from pixeldance.nets.refiner import Refiner
from pixeldance.nets.text import build_text
from pixeldance.nets.unet import UNet
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts, System


def pictures(system: System) -> Parts:
    """A text-to-image model without an encoder: it reads by the video model's."""
    return Parts(system, text=nn.Identity())  # type: ignore[arg-type]


BUILDERS: dict[str, Any] = {
    "net": UNet,
    "codec": build_codec,
    "text": build_text,
    "refiner": Refiner,
    "text_to_image": pictures,
}


class PixelDanceModel(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is not typed
    """A part of a model. part: one of `BUILDERS`. settings: its record as JSON (`checkpoint.to_json`)."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, part: str, settings: dict[str, Any]) -> None:
        super().__init__()
        self.module: nn.Module = BUILDERS[part](checkpoint.from_json(settings))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the part computes; of a codec, see `encode` and `decode` of `.module`."""
        return self.module(*args, **kwargs)


class PixelDanceOutput(BaseOutput):  # type: ignore[misc]
    """frames: as `pixeldance.pipeline.VideoOutput`'s."""

    frames: Any


class PixelDancePipeline(DiffusionPipeline):  # type: ignore[misc]
    """unet: our net. vae: diffusers' AutoencoderKL or our codec. text_encoder, tokenizer: transformers' CLIP, or our
    text encoder and None. refiner, text_to_image: ours, where there are any. system: the system's record as JSON."""

    _optional_components = ("tokenizer", "refiner", "text_to_image")
    model_cpu_offload_seq = "text_encoder->unet->vae"

    def __init__(
        self,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any = None,
        refiner: Any = None,
        text_to_image: Any = None,
        system: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer)
        self.register_modules(refiner=refiner, text_to_image=text_to_image)
        self.register_to_config(system=system)
        self._ours: Pipeline | None = None

    @property
    def pixeldance(self) -> Pipeline:
        """The same model as `pixeldance.load` gives it, on the device of the net, in float32."""
        if self._ours is None:
            system = checkpoint.from_json(dict(self.config.system))
            parts = Parts(system)
            parts.net = self.unet.module.float()
            if self.refiner is not None:
                parts.refiner = self.refiner.module.float()
            if self.text_to_image is not None:
                parts.text_to_image = self.text_to_image.module.float()
            if isinstance(self.vae, PixelDanceModel):
                parts.codec = self.vae.module.float()
            else:
                _copy(self.vae, parts.codec.net, names.vae(system.codec.vae), lambda key: key)
            if isinstance(self.text_encoder, PixelDanceModel):
                parts.text = self.text_encoder.module.float()
            else:
                clip: Any = parts.text
                _copy(self.text_encoder, clip.model, names.text(clip.model.state_dict()), names.old_text)
                clip.tokenizer = self.tokenizer  # a cached property, set before its first use
            if parts.text_to_image is not None:
                parts.text_to_image.read_by(parts.text)
            self._ours = Pipeline(parts.eval().requires_grad_(False))
        return self._ours.to(self.unet.device)

    @torch.no_grad()
    def __call__(self, *args: Any, return_dict: bool = True, **kwargs: Any) -> Any:
        """The arguments are those of `pixeldance.pipeline.Pipeline`'s call."""
        frames = self.pixeldance(*args, **kwargs).frames
        return PixelDanceOutput(frames=frames) if return_dict else (frames,)


def _copy(theirs: nn.Module, ours: nn.Module, table: names.Names, named: Callable[[str], str]) -> None:
    """The weights of a stock part, in float32."""
    stored = {named(key): weight.float() for key, weight in theirs.state_dict().items() if "position_ids" not in key}
    ours.load_state_dict(taken(table, stored, ours.state_dict(), type(theirs).__name__))
