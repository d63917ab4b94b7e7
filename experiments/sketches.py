"""Sketches as last frames: what the model makes of them as it ships, and with a LoRA trained on sketches.

Command:   nice -n 5 python experiments/sketches.py        (again to continue; --n 30 requests, --model DIR)
           which measures the model, trains a LoRA on sketches, and measures both; --arms shipped: no training
Cost:      a clip 0.7 s and a training step 1.5 s of one core of an AMD EPYC (Zen 3): 240 clips and 150 steps, 7 minutes
Expected:  as it ships the model copies the lines: its final frames are nearer to the sketch than to the truth; with the
           LoRA nearly all are nearer to the truth, and the object lands within 2 px of where the sketch has it (median)
Obtained:  results/sketches.json, 12 requests a kind: nearer to the truth 33 to 92 % as it ships, 100 % with the LoRA
           (76 to 100); landing 0.8 to 4.6 px, and 0.8 to 1.1 px; of the drawing 18 to 51 % is copied, and 1 to 7 %

The same requests as in drafts.py, with sketches of the true last frame (`data.toybox.sketches`) in place of drafts. A
sketch shows no ground: final frames are compared with it and with the truth where the object is, and 6 px around.
"""

from functools import partial
from pathlib import Path

import numpy as np
from drafts import TRAINED_FROM, compare
from small_pixeldance import WORLD

from pixeldance import checkpoint
from pixeldance.data.clip import Clip
from pixeldance.data.toybox import Scene
from pixeldance.data.toybox.sketches import KINDS, Sketches, sketch
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import SHIPPED
from pixeldance.training.loop import Training
from pixeldance.training.objective import Objective, Weight
from pixeldance.training.schedule import Ema

ROOM = 6  # pixels around the object in which final frames are compared: a sketch has no ground
RESULTS = Path(__file__).parent / "results" / "sketches.json"


def config(model: Path = SHIPPED, steps: int = 150, rate: float = 2e-3, rank: int = 6) -> Training:
    """A LoRA on all layers of the network, the last frame nearly always a sketch."""
    return Training(
        system=checkpoint.read_system(model),
        init=model,
        lora=LoRA(rank=rank, alpha=float(rank), layers=("net.*",)),
        data=partial(Sketches, world=WORLD, first=2 * TRAINED_FROM),
        objective=Objective(weight=Weight(cap=4.0, floor=1.0, focus=4.0), drop_last=0.1, draft=1.0),
        image_every=0,
        batch=4,
        steps=steps,
        rate=rate,
        warmup=10,
        cooldown=steps // 2,
        weight_decay=0.0,
        ema=Ema(limit=0.95),
        save_minutes=3.0,
    )


def drawing(real: Clip, scene: Scene, kind: str, number: int) -> np.ndarray:
    """The sketch of a clip's last frame."""
    return sketch(scene, kind, size=real.video.shape[1:3], frames=len(real.video))


if __name__ == "__main__":
    compare(KINDS, drawing, RESULTS, config, doc=__doc__, arm="lora", room=ROOM)
