"""The shipped model: PixelDance on the toybox, 16 frames of 64 x 64 pixels.

Command:   python experiments/small_pixeldance.py --threads 1 --steps 1650 --cooldown 500
           (again to continue; --ship DIR writes the newest checkpoint in half precision)
Cost:      40 minutes on one core of an AMD EPYC (Zen 3), 1.4 s a step, other work on the second core
Expected:  a last frame that is followed; crisp moving objects only after some 10^5 to 10^6 clips (this run sees 5,800)
Obtained:  results/small_pixeldance.json, 200 held-out captions: first frame 38.2 dB; from text and first frame
           direction 6 %, kind of motion 22 %; with the last frame exact motion 62.5 %, landing 0.31 px (97 % under
           4 px), object whole in 40 % of the frames; 2.3 s a clip. Run in two parts, the second from step 1113 on,
           by a loop that read the same clips in blocks of 512; this command has not been run again from the start.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pixeldance import checkpoint
from pixeldance.codec import PCA, fit_pca, from_pixels
from pixeldance.data.toybox import ONE_OBJECT, World, clip
from pixeldance.data.toybox.source import Toybox
from pixeldance.data.toybox.world import DIRECTIONS, MOTIONS
from pixeldance.metrics import toybox
from pixeldance.system import Parts
from pixeldance.systems import SMALL_PIXELDANCE
from pixeldance.training.loop import Training, latest, train
from pixeldance.training.objective import Objective, Weight

# Directions are what a director asks for first: drawn twice as often as the other motions.
WORLD = replace(ONE_OBJECT, motions=(*MOTIONS, *DIRECTIONS))


def config() -> Training:
    return Training(
        system=SMALL_PIXELDANCE,
        prepare=fit_codec,
        data=partial(Toybox, world=WORLD),
        images=partial(Toybox, world=WORLD, frames=1),
        objective=Objective(weight=Weight(cap=4.0, floor=1.0, focus=4.0), drop_last=0.35),
        batch=4,
        image_batch=24,
        steps=40_000,
        optimiser="muon",
        rate=0.015,
        cooldown=0,
        save_minutes=3.0,
        workers=1,
        sample_every=500,
        evaluate_every=2_000,
        evaluate=partial(toybox.evaluate, n=20),
    )


def fit_codec(parts: Parts) -> None:
    """The principal components of the toybox: of 1,600 frames of the whole world, objects anywhere."""
    assert isinstance(parts.codec.net, PCA)
    frames = [clip(seed, world=World(roam=0.5), frames=4).video for seed in range(400)]
    fit_pca(parts.codec.net, from_pixels(np.concatenate(frames)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run = config()
    parser.add_argument("--out", type=Path, default=Path("runs/small_pixeldance"))
    parser.add_argument("--steps", type=int, default=run.steps)
    parser.add_argument("--cooldown", type=int, default=run.cooldown, help="so many of the last steps fall to rate 0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ship", type=Path, help="write the newest checkpoint here in half precision, and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.ship is None:
        train(replace(run, steps=arguments.steps, cooldown=arguments.cooldown), arguments.out)
        return
    newest = latest(arguments.out)
    if newest is None:
        raise ValueError(f"got no checkpoint in {arguments.out}; train first")
    about = {"steps": checkpoint.read_config(newest)["about"]["steps"], "experiment": "experiments/small_pixeldance.py"}
    checkpoint.save(arguments.ship, checkpoint.load(newest), torch.float16, about=about)


if __name__ == "__main__":
    main()
