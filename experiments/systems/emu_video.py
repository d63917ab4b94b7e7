"""Emu Video: a schedule that ends in pure noise against Stable Diffusion's, which leaves a trace of data at its end.

Command:   python experiments/systems/emu_video.py
Cost:      seconds of one core
Question:  24 closed-form worlds of pictures of 256 positions with a brightness in common (a correlation of 0.3 to 0.9),
           each with its perfect denoiser. Both walks start from pure noise, as all samplers do; DDIM, 50 steps. How far
           is the variance of the brightness of 512 pictures from the truth, as |ln(found / true)|? Threshold: zero
           terminal SNR at least 50 % nearer.
Obtained:  results/systems/emu-video.json: held, 0.12 against 0.44, 72 % nearer (65 to 78)
"""

from dataclasses import replace

import numpy as np
import torch
from common import judge
from torch import Tensor
from worlds import SEEDS, STEPS, WORLDS, Values

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.process import VP, Process, grid
from pixeldance.diffusion.sample import ddim, sample
from pixeldance.systems import PUBLISHED

POSITIONS, PICTURES, VARIANCE = 256, 512, 0.64


def misses(process: VP) -> Values:
    """For each seed and world |ln(found / true)| of the variance of the mean over positions."""
    rows = []
    for seed in SEEDS:
        row = []
        for number in range(WORLDS):
            correlation = float(np.random.default_rng(number).uniform(0.3, 0.9))
            rng = torch.Generator().manual_seed(1000 * seed + number)
            noise = torch.randn(PICTURES, POSITIONS, generator=rng)
            x = sample(denoiser(correlation, process), noise, grid(process, STEPS), process, ddim())
            true = VARIANCE * (correlation + (1 - correlation) / POSITIONS)
            row.append(abs(float((x.mean(1).square().mean() / true).log())))
        rows.append(row)
    return rows


def denoiser(correlation: float, process: Process) -> Denoise:
    """E[x0 | x_t]: the brightness and what is beside it are independent, each with a variance of its own."""
    beside = VARIANCE * (1 - correlation)
    common = beside + POSITIONS * VARIANCE * correlation

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = process.alpha(t), process.sigma(t)
        mean = x.mean(1, keepdim=True)
        of_common, of_beside = (alpha * each / (alpha**2 * each + sigma**2) for each in (common, beside))
        return of_common * mean + of_beside * (x - mean)

    return denoise


if __name__ == "__main__":
    ending = PUBLISHED["emu-video"].system.process
    assert isinstance(ending, VP)
    judge(
        "emu-video",
        "With zero terminal SNR pictures keep the spread of their brightness; without, they come out too much alike.",
        "miss of the variance of brightness, closed-form worlds",
        {"zero terminal SNR": misses(ending), "as it was": misses(replace(ending, zero_terminal_snr=False))},
        threshold=0.5,
        sign=-1,
        about={"sampling_steps": STEPS},
    )
