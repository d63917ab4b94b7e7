"""Any published system small enough to train in minutes: 8 frames of 32 x 32 pixels of a world of one moving object.

What makes a system what it is stays: noise, conditions, rules, windows, objective, the kind of its temporal layers.
Its sizes go: codec, text encoder and network are the same small ones for all, and numbers of frames are halved.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from pixeldance.codec import PCA, PCAConfig, fit_pca, from_pixels
from pixeldance.condition import VectorPart, vector_width
from pixeldance.data.toybox import VOCABULARY, World, clip
from pixeldance.data.toybox.source import Toybox
from pixeldance.data.toybox.world import DIRECTIONS
from pixeldance.diffusion.guide import Window
from pixeldance.diffusion.process import VP
from pixeldance.nets.text import WordConfig
from pixeldance.system import Parts
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published
from pixeldance.training.loop import Training
from pixeldance.training.schedule import Ema

FRAMES, SIZE, FPS = 8, (32, 32), 8.0
TOY_WORLD = World(
    shapes=("square",),
    colours=("red", "green", "blue"),
    sizes=("large",),
    motions=tuple(DIRECTIONS),
    speeds=("fast",),
    backgrounds=("white", "black"),
    textures=("plain",),
    two=0.0,
    moving_camera=0.0,
    cut=0.0,
    split="all",
)
"""Twelve captions: a square in one of three colours goes in one of four directions."""
CODEC = PCAConfig(patch=8, channels=24)
TEXT = WordConfig(vocabulary=VOCABULARY, width=32, layers=1, head_width=16)


def toy(published: Published) -> Published:
    """The same system at toy size.

    Stable Diffusion's betas with eps, where a system has just inherited them, become a shifted cosine with v: at this
    size they learn too slowly.
    """
    system = published.system
    slots = replace(system.condition, first=_half(system.condition.first))
    vector: tuple[VectorPart, ...] = ("text", *(part for part in system.vector if part != "text"))
    channels = CODEC.channels
    net = replace(
        system.net,
        channels=channels,
        concat=slots.channels(channels),
        tokens=TEXT.width,
        vector=vector_width(vector, TEXT.width),
        widths=(32,),
        attention=(True,),
        layers=1,
        head_width=16,
        feed_mult=2,
        groups=4,
        temporal_convolutions=min(1, system.net.temporal_convolutions),
        temporal_attentions=min(1, system.net.temporal_attentions),
        film=True,
        carry=(0, channels + slots.mask)[: len(system.net.carry)],
    )
    coarse = _half(published.objective.coarse)
    if (system.process, system.prediction) == (PIXELDANCE.process, PIXELDANCE.prediction):
        system = replace(system, process=VP(betas="cosine", logsnr_shift=-1.5), prediction="v")
    small = replace(
        system,
        codec=CODEC,
        text=TEXT,
        net=net,
        condition=slots,
        vector=vector,
        trained=("text", "net"),
        frames=tuple(_half(each) for each in system.frames),
        sizes=(SIZE,),
        fps=FPS,
        steps=10,
        guidance=2.0,
        window=system.window and Window(length=_half(system.window.length), stride=_half(system.window.stride)),
        step_offset=0.0,
    )
    return replace(published, system=small, objective=replace(published.objective, coarse=coarse))


def run(small: Published, *, steps: int = 1_000, seed: int = 0) -> Training:
    """The training of a system at toy size; about a minute of one core for 100 steps."""
    return Training(
        system=small.system,
        objective=small.objective,
        train=small.train,
        prepare=fit_codec,
        data=partial(Toybox, world=TOY_WORLD, size=SIZE, frames=FRAMES),
        images=partial(Toybox, world=TOY_WORLD, size=SIZE, frames=1),
        batch=32,
        image_batch=32,
        image_every=small.image_every,
        steps=steps,
        rate=2e-3,
        warmup=20,
        cooldown=steps // 2,
        ema=Ema(limit=0.98),
        seed=seed,
    )


def fit_codec(parts: Parts) -> None:
    """The principal components of 800 frames of the world."""
    assert isinstance(parts.codec.net, PCA)
    frames = [clip(seed, world=TOY_WORLD, size=SIZE, frames=FRAMES).video for seed in range(100)]
    fit_pca(parts.codec.net, from_pixels(np.concatenate(frames)))


def _half(number: int) -> int:
    return max(1, number // 2) if number else 0
