"""The paper's own run (arXiv 2311.10982, sec. 4.1): 256 x 256, then 50,000 steps at a higher resolution.

Command:   torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m pixeldance \
               train experiments/paper.py -o /runs/paper \
               videos='webdataset:/data/webvid/{00000..10726}.tar' images='webdataset:/data/laion/{00000..41407}.tar' \
               stable_diffusion=/models/stable-diffusion-2-1-base
           then the same with -o /runs/paper-512 and first=/runs/paper/step-0200000; again to continue either.
           The run's folder, the shards and the weights lie on a file system that all machines share.
Needs:     WebVid-10M as video2dataset's shards and LAION as img2dataset's, or any other spec of `data.datasets`;
           Stable Diffusion 2.1 base in the form of diffusers (the one that predicts eps), and CLIPConfig's tokenizer.
Cost:      the paper's: 32 A100, batch 192, 200,000 + 50,000 steps; its days are not stated
Expected:  zero-shot UCF-101 FVD 242.82, MSR-VTT FVD 381 (table 1 and 2 of the paper; its data is larger by 500,000
           clips without watermarks, and its protocols differ from ours: do not print the numbers side by side)
Obtained:  not run: needs 32 GPUs and the data. Run at tiny size by tests/experiments/test_training.py.

Not stated by the paper and chosen here: AdamW at 1e-4, 192 images in an image step, averaged weights, a net whose 2D
layers start as Stable Diffusion's, 512 x 512 for the second stage.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from pixeldance.data.datasets import open_source
from pixeldance.data.source import Source
from pixeldance.exchange.published import prepare
from pixeldance.system import System
from pixeldance.systems import PIXELDANCE
from pixeldance.training.levels import Discrete
from pixeldance.training.loop import Training
from pixeldance.training.objective import Objective
from pixeldance.training.schedule import Ema

HIGHER = (512, 512)


def config(videos: str, images: str, stable_diffusion: Path, first: Path | None = None) -> Training:
    """Stage one, or stage two where `first` says which checkpoint it starts from."""
    run = Training(
        system=PIXELDANCE,
        data=partial(source, videos, PIXELDANCE),
        images=partial(source, images, PIXELDANCE, frames=1),
        prepare=partial(prepare, source=str(stable_diffusion)),
        # "Every 8 iterations" one on images; the last frame of the last three, dropped with 25 %; DDPM with T = 1000.
        objective=Objective(levels=Discrete(steps=1000), stratified=False, last_of=3, drop_last=0.25, drop_text=0.1),
        image_every=8,
        batch=192,
        image_batch=192,
        steps=200_000,
        rate=1e-4,
        warmup=1_000,
        schedule="constant",
        ema=Ema(limit=0.9999),
        precision="bf16",
        checkpointing=True,
        parallel="fsdp",
        device="cuda",
        workers=8,
        save_minutes=30.0,
        keep=3,
        sample_every=5_000,
    )
    if first is None:
        return run
    larger = replace(PIXELDANCE, sizes=(HIGHER,))
    return replace(
        run,
        system=larger,
        data=partial(source, videos, larger),
        images=partial(source, images, larger, frames=1),
        init=first,
        steps=50_000,
        accumulate=2,
        schedule="linear",
        cooldown=10_000,
    )


def source(spec: str, system: System, frames: int | None = None) -> Source:
    """The clips of a set in the length, rate and size of a system; `frames` of its own for images."""
    return open_source(spec, frames=frames or system.frames[0], fps=system.fps, size=system.sizes[0])
