"""Two nodes by ComfyUI's V1 protocol: open a model, and make a video with it. IMAGE is a tensor (b, h, w, c) in 0..1.

All that is checked, rendered or refused is so by the package; a node only translates.
"""

import sys
from typing import Any

import numpy as np
import torch

Types = dict[str, dict[str, tuple[Any, ...]]]


class PixelDanceModel:
    """A checkpoint of PixelDance, or a pretrained pipeline of diffusers that it takes as an engine."""

    CATEGORY, FUNCTION = "PixelDance", "open"
    RETURN_TYPES, RETURN_NAMES = ("PIXELDANCE",), ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> Types:
        return {
            "required": {"model": ("STRING", {"default": "", "tooltip": "A folder or a hub name; empty: the demo"})},
            "optional": {"memory": (["high", "mid", "low"], {"default": "high"})},
        }

    def open(self, model: str, memory: str = "high") -> tuple[Any]:
        from pixeldance.cli.models import is_engine, opened, place
        from pixeldance.pipeline import SHIPPED

        folder = place(model.strip()) if model.strip() else SHIPPED
        return (opened(folder, memory if is_engine(folder) else None),)


class PixelDanceVideo:
    """A video from a text, a first frame and a last frame; tau is how far the last one leads the way."""

    CATEGORY, FUNCTION = "PixelDance", "make"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "FLOAT"), ("frames", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> Types:
        whole = {"default": 0, "min": 0}  # 0: the model's own
        return {
            "required": {
                "model": ("PIXELDANCE",),
                "prompt": ("STRING", {"multiline": True}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**32 - 1, "control_after_generate": True}),
            },
            "optional": {
                "image": ("IMAGE",),
                "last_image": ("IMAGE",),
                "tau": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
                "frames": ("INT", whole),
                "width": ("INT", whole),
                "height": ("INT", whole),
                "steps": ("INT", whole),
                "guidance": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 100.0, "step": 0.1}),
            },
        }

    def make(
        self,
        model: Any,
        prompt: str,
        seed: int,
        image: torch.Tensor | None = None,
        last_image: torch.Tensor | None = None,
        tau: float = 1.0,
        frames: int = 0,
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance: float = 0.0,
    ) -> tuple[torch.Tensor, float]:
        from pixeldance.diffusion.noise import generators
        from pixeldance.generate import Sampling

        size = {"num_frames": frames or None, "height": height or None, "width": width or None}
        asked = model.instruct(prompt, pixels(image), pixels(last_image), **size)
        sampling = Sampling(steps=steps or None, guidance=guidance or None, tau=tau)
        video = model.render(asked, generators([seed])[0], sampling, shown(sampling.steps or model.system.steps))
        return torch.from_numpy(video).float() / 255, float(asked.fps)


def pixels(image: torch.Tensor | None) -> np.ndarray | None:
    """The first picture of a batch as bytes (h, w, 3)."""
    return None if image is None else (image[0, ..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def shown(steps: int) -> Any:
    """Progress in ComfyUI, and its cancel button; nothing outside it."""
    if "comfy" not in sys.modules:
        return None
    from comfy import model_management, utils

    bar = utils.ProgressBar(steps)

    def on_step(index: int, _: Any) -> None:
        model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(index + 1, steps)

    return on_step


NODE_CLASS_MAPPINGS = {"PixelDanceModel": PixelDanceModel, "PixelDanceVideo": PixelDanceVideo}
NODE_DISPLAY_NAME_MAPPINGS = {"PixelDanceModel": "PixelDance model", "PixelDanceVideo": "PixelDance video"}
