"""Clips at several frame rates, and whether a model that is told the rate makes things go as far as it says.

Everything slides right, and 8 frames at a lower rate show more of the way: nothing but the rate tells how much.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from measures import FIRST_CLIP, Values

from pixeldance.codec import to_pixels
from pixeldance.data.clip import Clip
from pixeldance.data.order import ENDLESS
from pixeldance.data.toybox import clip
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import FIRST, Instruction
from pixeldance.reproduce.measures import path
from pixeldance.reproduce.toy import Video
from pixeldance.system import Parts
from pixeldance.systems.published import Published
from pixeldance.systems.toy import FRAMES, SIZE, TOY_WORLD
from pixeldance.training.loop import Training

WORLD = replace(TOY_WORLD, motions=("right",))
RATES = {16.0: 1, 8.0: 2, 4.0: 4}
"""Frames per second: every n-th frame of a clip of 32, in which things go 2, 4 and 8 pixels in 8 frames."""
MIDDLE, REQUESTS = 8.0, 8


@dataclass(frozen=True, kw_only=True)
class Rated:
    """The world's clips at each of the rates in turn."""

    def __len__(self) -> int:
        return ENDLESS

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        return rated(index, list(RATES)[index % len(RATES)])

    def name(self, index: int) -> str:
        return f"clip {index} at one of {len(RATES)} rates"


def rated(number: int, fps: float) -> Clip:
    """A clip of the world at a rate; the first frame is the same at all."""
    whole = clip(number, world=WORLD, size=SIZE, frames=FRAMES * max(RATES.values()))
    return Clip(video=whole.video[:: RATES[fps]][:FRAMES], text=whole.text, fps=fps)


def told_rates(published: Published) -> Published:
    """The system in a form that learns it in 200 steps: its picture stands at every frame, as in the paper, and goes
    past the network, which is told each frame's number and has only what changes to find; no stills."""
    system = published.system
    slots = replace(system.condition, last=True, tile=True)  # the last one is never given
    channels = system.net.channels
    net = replace(system.net, concat=slots.channels(channels), carry=(0,), frame_embedding=True)
    return replace(published, system=replace(system, condition=slots, net=net), image_every=0)


def of_all_rates(training: Training) -> Training:
    """The same training on clips at several rates, 16 at once."""
    return replace(training, data=Rated, batch=16)


def in_order(parts: Parts, seed: int, told: float | None = None) -> Values:
    """For each request the share of pairs of rates at which the thing goes further at the lower one, from one noise.

    Two clips in which it goes equally far count half. told: the one rate that the network is told, whatever is asked.
    """
    found = []
    for number in range(REQUESTS):
        made = {fps: way(rendered(parts, number, fps, seed)) for fps in (RATES if told is None else [told])}
        ways = [made[told or fps] for fps in RATES]
        found.append(np.mean([(low > high) + 0.5 * (low == high) for high, low in combinations(ways, 2)]).item())
    return found


def rendered(parts: Parts, number: int, fps: float, seed: int) -> Video:
    """The clip of a request at a rate, from its real first frame."""
    shown = rated(FIRST_CLIP + number, MIDDLE)
    asked = Instruction(text=shown.text, frames={FIRST: shown.video[0]}, length=FRAMES, size=SIZE, fps=fps)
    latents = generate(parts, [asked], generators([1000 * seed + number]), Sampling())
    with torch.inference_mode():
        return to_pixels(parts.codec.decode(latents)[0])


def way(video: Video) -> float:
    """How far the thing goes to the right from the first frame to the last, in pixels; 0 where it is missing."""
    places = path(video)
    return float(np.nan_to_num(places[-1, 0] - places[0, 0]))
