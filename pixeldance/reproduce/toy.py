"""The toy scale of the claims: clips of one thing that slides one of four ways, and a PixelDance that learns them in
minutes of one core.

A clip has 8 frames of 32 x 32 pixels, every second one of a toybox clip. Things start near the middle, so that a first
frame does not tell where they go: the text does, or the last frame. It shows whether a mechanism works and can never
show the paper's numbers.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from jaxtyping import UInt8

from pixeldance.codec import PCA, PCAConfig, fit_pca, from_pixels
from pixeldance.condition import ImageSlots
from pixeldance.data.clip import Clip
from pixeldance.data.order import ENDLESS
from pixeldance.data.toybox import ONE_OBJECT, VOCABULARY, Scene, clip_and_scene, describe_scene
from pixeldance.data.toybox.world import DIRECTIONS
from pixeldance.diffusion.process import VP
from pixeldance.nets.text import WordConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.system import Parts, System
from pixeldance.systems.pixeldance import NOISE
from pixeldance.training.objective import Objective, Weight
from pixeldance.training.recipe import Training

Video = UInt8[np.ndarray, "f h w 3"]
Picture = UInt8[np.ndarray, "h w 3"]

WORLD = replace(
    ONE_OBJECT,
    shapes=("circle", "square"),
    colours=("red", "green", "blue", "yellow"),
    sizes=("large",),
    motions=tuple(DIRECTIONS),
    speeds=("fast",),
    backgrounds=("white", "black"),
    textures=("plain",),
    split="all",
)
SIDE, FRAMES, STRIDE = 32, 8, 2
ASKED, FITTED = 2**40, 10**6  # numbers of the first requests, and of the clips to which the codec is fitted
CHANNELS, WIDTH = 32, 32
SLOTS = ImageSlots(tile=True, noise=(0.0, NOISE))
SYSTEM = System(
    codec=PCAConfig(patch=8, channels=CHANNELS),
    text=WordConfig(vocabulary=VOCABULARY, width=WIDTH, layers=1, head_width=16),
    net=UNetConfig(
        channels=CHANNELS,
        concat=SLOTS.channels(CHANNELS),
        tokens=WIDTH,
        vector=WIDTH,
        widths=(WIDTH,),
        attention=(False,),  # but in the middle
        layers=1,
        head_width=16,
        feed_mult=2,
        groups=8,
        temporal_convolutions=1,
        temporal_attentions=1,
        film=True,
        frame_embedding=True,
        carry=(0, 1 + CHANNELS),
    ),
    process=VP(betas="cosine", logsnr_shift=-2.4),
    prediction="x0",
    condition=SLOTS,
    frames=(FRAMES, 1),
    sizes=((SIDE, SIDE),),
    steps=8,
    guidance=1.0,
)
"""0.3 M parameters in the denoising network: the shipped model's kind (`systems.pixeldance`) at half its size."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of every arm alike, and the truth about it."""

    number: int
    text: str
    real: Video
    scene: Scene


@lru_cache(maxsize=1024)
def request(number: int) -> Request:
    """Clip `number` of the world as a request; 2^40 and up for those that training never shows."""
    shown, scene = clip_and_scene(number, world=WORLD, size=(SIDE, SIDE), frames=FRAMES * STRIDE)
    real = np.ascontiguousarray(shown.video[::STRIDE])
    return Request(number=number, text=describe_scene(scene), real=real, scene=scene)


@dataclass(frozen=True, kw_only=True)
class Slides:
    """The world as a source of training. marked: the share of clips that bear a watermark; images are `frames` = 1."""

    marked: float = 0.0
    frames: int = FRAMES

    def __len__(self) -> int:
        return ENDLESS

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        shown, scene = clip_and_scene(index, world=WORLD, size=(SIDE, SIDE), frames=FRAMES * STRIDE)
        assert shown.focus is not None
        video = shown.video[::STRIDE][: self.frames]
        return replace(
            shown,
            video=np.ascontiguousarray(marked(video) if rng.random() < self.marked else video),
            focus=np.ascontiguousarray(shown.focus[::STRIDE][: self.frames]),
            text=describe_scene(scene),
        )

    def name(self, index: int) -> str:
        return f"clip {index} of the claims' world"


MARK = np.zeros((SIDE, SIDE, 1), np.float32)
MARK[3:6, 3:13:2] = MARK[4, 3:13] = 1.0
"""Where the watermark is: a row of strokes at the upper left."""
MARK_GREY, MARK_OPACITY = 128.0, 0.7


def marked(frames: UInt8[np.ndarray, "*f h w 3"]) -> UInt8[np.ndarray, "*f h w 3"]:
    """Frames with a grey, half transparent watermark."""
    mixed = frames + MARK_OPACITY * MARK * (MARK_GREY - frames.astype(np.float32))
    return np.rint(mixed).astype(np.uint8)


def base(seed: int, *, steps: int, system: System = SYSTEM) -> Training:
    """PixelDance's recipe at this scale; every arm is a change to it."""
    return Training(
        system=system,
        prepare=fit_codec,
        data=Slides,
        images=partial(Slides, frames=1),
        objective=Objective(weight=Weight(cap=4.0, floor=1.0, focus=4.0)),
        steps=steps,
        batch=16,
        image_batch=16,
        rate=3e-3,
        warmup=20,
        cooldown=steps // 2,
        seed=seed,
        save_minutes=1.0,
        keep=1,
        log_every=10,
    )


def fit_codec(parts: Parts) -> None:
    """The principal components of 200 clips of the world, with and without a watermark: one codec for all arms."""
    assert isinstance(parts.codec.net, PCA)
    clean = np.concatenate([request(FITTED + number).real for number in range(200)])
    fit_pca(parts.codec.net, from_pixels(np.concatenate([clean, marked(clean)])))
