"""Fine-tune any checkpoint on a folder of videos, each with its text beside it (NAME.mp4 and NAME.txt).

Command:   pixeldance train experiments/finetune_folder.py videos=FOLDER model=CHECKPOINT -o runs/mine
           (model: the one that ships; steps=N rate=R; rank=8 trains a LoRA of that rank; again to continue;
           sizes=64x64,80x48,48x80 brings each video to the one nearest to its shape, every batch being of one size)
Cost:      for the shipped model about 2 s a step on one core of an AMD EPYC that was busy with other work
Expected:  a lower loss on the folder's clips than the model began with, and its look in their samples
Obtained:  shown to run, not yet to teach: 60 steps on 24 toybox clips (`pixeldance toybox -o FOLDER --count 24 --seed
           5000`), mean loss of the first 20 steps 0.216, of the last 20 0.194, a difference within their noise.

The model keeps its length and rate, and its sizes where no others are given: clips are cut to them, and shorter ones
are put aside (quarantine.jsonl).
`pixeldance data check folder:FOLDER` says beforehand which.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from pixeldance import checkpoint
from pixeldance.cli import ask
from pixeldance.data.datasets import open_source
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import SHIPPED
from pixeldance.training.loop import Training
from pixeldance.training.objective import Objective
from pixeldance.training.schedule import Ema


def config(
    videos: Path,
    model: Path = SHIPPED,
    steps: int = 2_000,
    rate: float = 1e-4,
    batch: int = 4,
    workers: int = 1,
    rank: int = 0,
    sizes: str = "",
) -> Training:
    """Little and slowly: a tenth of the rate of a training from the start, no images, an average of the last steps.

    rank: of a LoRA that is trained in place of all weights; 0 for none. sizes: WIDTHxHEIGHT, several with commas
    between; the model's own.
    """
    system = checkpoint.read_system(model)
    if sizes:
        system = replace(system, sizes=tuple(ask.size(each)[::-1] for each in sizes.split(",")))
    return Training(
        system=system,
        init=model,
        lora=LoRA(rank=rank, alpha=float(rank)) if rank else None,
        data=partial(open_source, f"folder:{videos}", frames=system.frames[0], fps=system.fps, size=system.sizes),
        objective=Objective(),
        image_every=0,
        batch=batch,
        steps=steps,
        rate=rate,
        warmup=min(100, steps // 10),
        cooldown=steps // 5,
        ema=Ema(limit=0.99),
        workers=workers,
        sample_every=max(1, steps // 10),
    )
