"""A first frame from a text, by any text-to-image pipeline of diffusers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from pixeldance.diffusion.noise import generators
from pixeldance.exchange import folder as files

MULTIPLE = 8


def still(folder: Path, text: str, *, height: int, width: int, seed: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of about this size: the next multiple of 8 on both sides, which most pipelines make.

    Raises ValueError for a folder that is no text-to-image pipeline.
    """
    name = files.settings(folder, "model_index.json").get("_class_name")
    for index in folder.rglob("*.safetensors.index.json"):
        files.placed(index)
    import diffusers

    cuda = torch.cuda.is_available()
    given: dict[str, Any] = {"dtype": torch.bfloat16 if cuda else torch.float32, "use_safetensors": True}
    try:
        pipe = diffusers.AutoPipelineForText2Image.from_pretrained(folder, local_files_only=True, **given)
    except ValueError as error:
        raise ValueError(f"{folder}: got a {name}, which makes no pictures from texts ({error})") from None
    pipe.to("cuda" if cuda else "cpu").set_progress_bar_config(disable=True)
    up = [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
    with torch.no_grad():
        made = pipe(prompt=text, height=up[0], width=up[1], generator=generators([seed])[0], output_type="pil").images[
            0
        ]
    return np.asarray(made.convert("RGB"))
