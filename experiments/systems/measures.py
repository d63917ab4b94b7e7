"""What is measured of a toy model: how well it denoises held-out clips, and what its videos do between frames."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pixeldance.condition import condition
from pixeldance.data.clip import Example
from pixeldance.data.encode import encode
from pixeldance.data.toybox import clip
from pixeldance.data.toybox.phrases import COLOUR
from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import corrupt
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import Instruction
from pixeldance.system import Parts
from pixeldance.systems.toy import FPS, FRAMES, SIZE, TOY_WORLD

REQUESTS = 16
FIRST_CLIP = 2**40  # none that training sees
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
Values = list[float]


def held_out(parts: Parts, frames: int = FRAMES) -> list[Example]:
    """Clips that training never sees, in latents."""
    clips = [clip(FIRST_CLIP + number, world=TOY_WORLD, size=SIZE, frames=frames) for number in range(REQUESTS)]
    return encode(parts.codec, clips)


@torch.inference_mode()
def prediction_error(parts: Parts, seed: int, given: Sequence[int] = (), frames: int = FRAMES) -> Values:
    """For each held-out clip of so many frames the squared error of the estimated x0, averaged over `LEVELS`, the text
    told and so are the frames `given`; of the frames that are not."""
    system, found = parts.system, []
    for number, shown in enumerate(held_out(parts, frames)):
        x0 = shown.latents[None]
        asked = Instruction(
            text=shown.text,
            frames={index: shown.latents[index] for index in given},
            length=frames,
            size=SIZE,
            fps=FPS,
        )
        cond = condition(
            [asked],
            text=parts.text,
            slots=system.condition,
            shape=(x0.shape[2], x0.shape[3], x0.shape[4]),
            vector=system.vector,
        )
        made = [index for index in range(frames) if index not in given]
        errors = []
        for level in LEVELS:
            t = torch.tensor(level)
            eps = Iid()(x0, generators([1000 * seed + number]))
            estimate = parts.denoiser(corrupt(system.process, x0, eps, t), t, cond)
            errors.append(float((estimate - x0)[:, made].square().mean()))
        found.append(float(np.mean(errors)))
    return found


def colour_told(parts: Parts, seed: int) -> Values:
    """For each request 1 where the object of its video has the colour of its text, 0 where it has another or where
    there is none. The object is what differs from the corners; its colour the strongest channel there, over all frames.
    """
    shown = held_out(parts)
    asked = [Instruction(text=each.text, length=FRAMES, size=SIZE, fps=FPS) for each in shown]
    latents = generate(parts, asked, generators([1000 * seed + number for number in range(REQUESTS)]), Sampling())
    with torch.inference_mode():
        videos = parts.codec.decode(latents)
    return [float(has_colour(video, each.text)) for video, each in zip(videos, shown, strict=True)]


def has_colour(video: Float[Tensor, "f 3 h w"], text: str) -> bool:
    """Whether the object of a video has a colour that its text says."""
    found = colour_of(video)
    return found is not None and any(word in text for word in COLOUR[found])


def colour_of(video: Float[Tensor, "f 3 h w"]) -> str | None:
    """The colour of what is not ground in a video in -1 to 1."""
    ground = video[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].median(dim=2).values[:, :, None, None]
    object_ = ((video - ground).abs().amax(1, keepdim=True) > 0.8).expand_as(video)
    if not object_.any():
        return None
    channels = video.movedim(1, 0).masked_select(object_.movedim(1, 0)).reshape(3, -1).mean(1)
    return ("red", "green", "blue")[int(channels.argmax())]


def flicker(parts: Parts, seed: int) -> Values:
    """For each request how far the four corners of the picture, in -1 to 1, change from frame to frame, root mean
    square; in real clips they stay as they are, but where the square passes."""
    asked = [Instruction(text=each.text, length=FRAMES, size=SIZE, fps=FPS) for each in held_out(parts)]
    latents = generate(parts, asked, generators([1000 * seed + number for number in range(REQUESTS)]), Sampling())
    with torch.inference_mode():
        video = parts.codec.decode(latents)
    ends = [slice(0, 4), slice(-4, None)]
    corners = torch.cat([video[..., rows, columns] for rows in ends for columns in ends], dim=-1)
    return corners.diff(dim=1).square().flatten(1).mean(1).sqrt().tolist()


def pictures_changed(parts: Parts, seed: int, before: Callable[[int], Parts]) -> Values:
    """For each request 1 where its picture differs in any bit from the one that the model `before`, of the same seed,
    makes of the same text and noise, 0 where it does not."""
    shown = held_out(parts)
    asked = [Instruction(text=each.text, length=1, size=SIZE) for each in shown]

    def made(model: Parts) -> Tensor:
        return generate(model, asked, generators([1000 * seed + number for number in range(REQUESTS)]), Sampling())

    return (made(parts) != made(before(seed))).flatten(1).any(1).float().tolist()
