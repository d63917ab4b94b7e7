"""What is looked at while a run goes on: clips made with the averaged weights, beside the real ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixeldance.data.encode import encode
from pixeldance.data.stream import Ask, Stream
from pixeldance.diffusion.noise import generators
from pixeldance.image import write_image
from pixeldance.instruction import LAST, Instruction
from pixeldance.pipeline import Pipeline
from pixeldance.sheet import contact_sheet
from pixeldance.system import Parts, System
from pixeldance.training.objective import Objective
from pixeldance.video import write_video


def pipeline(system: System, weights: Mapping[str, Tensor], device: torch.device) -> Pipeline:
    """A model of its own with these weights: looking at it changes nothing of the one that trains."""
    with torch.random.fork_rng([]):
        parts = Parts(system)
    parts.load_state_dict(dict(weights))
    return Pipeline(parts.eval().requires_grad_(False)).to(device)


def sample(pipe: Pipeline, objective: Objective, stream: Stream, *, count: int, folder: Path, step: int) -> Path:
    """Make the first `count` clips of the data again, from their texts and the frames that training gives.

    Writes folder/step-N-I.mp4 and folder/step-N.png: each clip as its latents show it, above the one made of it.
    Gives the latter's path.
    """
    folder.mkdir(exist_ok=True)
    device = next(pipe.parts.net.parameters()).device
    rows = list[tuple[str, np.ndarray]]()
    for number in range(count):
        taken = stream.read(Ask(image=False, epoch=0, index=number % len(stream.clips)))
        (real,) = encode(pipe.parts.codec, [taken.clip], device=device)
        frames = {index: real.latents[index] for index in range(objective.given)}
        if objective.drop_last < 1:
            frames[LAST] = real.latents[-1]
        asked = Instruction(text=real.text, frames=frames, length=len(real.latents), size=real.size, fps=real.fps)
        made = pipe.render(asked, generators([number])[0])
        rows += [(real.text, pipe.decode(real.latents[None])[0]), ("", made)]
        write_video(folder / f"step-{step:07d}-{number}.mp4", made, fps=real.fps or pipe.system.fps, overwrite=True)
    sheet = folder / f"step-{step:07d}.png"
    write_image(sheet, contact_sheet(rows, columns=16), overwrite=True)
    return sheet
