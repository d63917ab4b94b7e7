"""The arms of the claims: PixelDance's training, and what each of the others changes in it.

An arm is a change to one recipe: parameters, steps, data, seeds and function evaluations stay equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pixeldance.condition import ImageSlots
from pixeldance.diffusion.process import share_at_step
from pixeldance.reproduce.toy import Slides
from pixeldance.systems.pixeldance import BETAS
from pixeldance.training.recipe import Training

Change = Callable[[Training], Training]


def unchanged(run: Training) -> Training:
    """PixelDance as it is."""
    return run


def trained(run: Training, **settings: Any) -> Training:
    """With other settings of the objective."""
    return replace(run, objective=replace(run.objective, **settings))


def noise(run: Training, *, steps: int) -> Training:
    """With the condition's noise of so many of DDPM's 1000 steps."""
    share = share_at_step(BETAS, steps) if steps else 0.0
    slots = replace(run.system.condition, noise=(0.0, share))
    return replace(run, system=replace(run.system, condition=slots))


def videos_alone(run: Training) -> Training:
    """Without images: every step is on videos."""
    return replace(run, image_every=0)


def watermarked(run: Training) -> Training:
    """On clips of which 19 of 20 bear a watermark, as all but the paper's own do; its images bear none."""
    return replace(run, data=partial(Slides, marked=0.95))


def text_to_video(run: Training) -> Training:
    """Without any picture condition: it has no slots, and by what reads them fewer parameters than the others."""
    net = replace(run.system.net, concat=0, carry=())
    system = replace(run.system, condition=ImageSlots(first=0, last=False), net=net)
    return trained(replace(run, system=system), given=0, drop_last=1.0)


ARMS: Mapping[str, Change] = {
    "pixeldance": unchanged,
    "text-to-video": text_to_video,
    "never-text": partial(trained, drop_text=1.0),
    "never-last": partial(trained, drop_last=1.0),
    "always-last": partial(trained, drop_last=0.0),
    "half-last": partial(trained, drop_last=0.5),
    "last-of-1": partial(trained, last_of=1),
    "noise-0": partial(noise, steps=0),
    "noise-50": partial(noise, steps=50),
    "noise-300": partial(noise, steps=300),
    "videos-alone": videos_alone,
    "watermarked": watermarked,
}
"""What training changes, by the arm's name. PixelDance's own: last of 3, noise of 100 steps, dropped in 25 %."""
