"""Make-A-Video: frames that a model makes between two, against the two blended, where the truth is known.

Command:   python experiments/systems/make_a_video.py
Cost:      seconds to a minute of one core
Question:  24 closed-form worlds of 8 frames, the first and the last known. The model is told them clean, as frames
           without noise among the noisy ones; the blend is their weighted mean. How far is the covariance of all frames
           from the truth, relative to their variance? Threshold: the model's at least 50 % nearer.
           The other claim, that captions on stills are enough, is asked of trained arms: trained.py make-a-video.text
Obtained:  results/systems/make-a-video.json
"""

import torch
from common import judge
from torch import Tensor
from worlds import PIXELS, PROCESS, SEEDS, WORLDS, Values, covariance, drawn, world

from pixeldance.diffusion.noise import Iid

FRAMES = 8
KNOWN = [0, FRAMES - 1]
CLEAN = 1e-4  # the level of a known frame


def misses(blended: bool) -> Values:
    """For each seed and world the mean of |found - true covariance|, in shares of the true variance."""
    rows = []
    for seed in SEEDS:
        row = []
        for number in range(WORLDS):
            truth, at = world(number, FRAMES), 1000 * seed + number
            known = truth.draw(PIXELS, seed=at).float()
            clip = blend(known) if blended else between(known, number, at)
            row.append(float((covariance(clip) - truth.cov).abs().mean() / truth.cov[0, 0]))
        rows.append(row)
    return rows


def blend(known: Tensor) -> Tensor:
    """Each frame the mean of the ends, weighted by how near they are."""
    far = torch.linspace(0, 1, FRAMES).reshape(1, -1, 1, 1, 1)
    return (1 - far) * known[:, :1] + far * known[:, -1:]


def between(known: Tensor, number: int, seed: int) -> Tensor:
    """The ends and what the model of the world makes between them."""
    perfect = world(number, FRAMES).denoiser(PROCESS)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        levels, x = t.expand(len(x), FRAMES).clone(), x.clone()
        levels[:, KNOWN], x[:, KNOWN] = CLEAN, known[:, KNOWN]
        found = perfect(x, levels)
        found[:, KNOWN] = known[:, KNOWN]
        return found

    return drawn(denoise, FRAMES, Iid(), seed=seed)


if __name__ == "__main__":
    judge(
        "make-a-video",
        "Frames made between two known ones are as like them, and as unlike, as true ones; blended ones are not.",
        "miss of the covariance of frames, closed-form worlds",
        {"interpolated": misses(blended=False), "blended": misses(blended=True)},
        threshold=0.5,
        sign=-1,
        about={"sampling_steps": 50},
    )
