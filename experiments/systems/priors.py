"""VideoFusion and PYoCo: an image model under noise that frames share, against the same model under independent noise.

Command:   python experiments/systems/priors.py
Cost:      seconds to a minute of one core
Question:  24 closed-form worlds of 8 frames, and a model that knows single frames alone (each exactly). Before any
           tuning to videos, how far is the covariance of its frames from that of the videos, in the Frobenius norm, as
           a share of the latter? It is where tuning starts from. Threshold: at least 20 % nearer. The worlds remember
           the frame before, which is PYoCo's progressive prior rather than VideoFusion's: that favours the former.
Obtained:  results/systems/videofusion.json, pyoco.json: held, 57 % (53 to 61) and 66 % (54 to 78) nearer
"""

from common import judge
from worlds import PROCESS, SEEDS, WORLDS, Values, covariance, drawn, pictures, world

from pixeldance.diffusion.noise import Iid, Prior
from pixeldance.systems import PUBLISHED

FRAMES = 8


def misses(prior: Prior) -> Values:
    """For each seed and world the distance of the frames' covariance from the truth, as a share of its norm."""
    rows = []
    for seed in SEEDS:
        row = []
        for number in range(WORLDS):
            truth = world(number, FRAMES)
            clip = drawn(pictures(truth).denoiser(PROCESS), FRAMES, prior, seed=1000 * seed + number)
            row.append(float((covariance(clip) - truth.cov).norm() / truth.cov.norm()))
        rows.append(row)
    return rows


if __name__ == "__main__":
    independent = misses(Iid())
    for name, kind in (("videofusion", "base and residual noise"), ("pyoco", "progressive noise")):
        judge(
            name,
            f"Under {kind} a model of pictures alone is nearer to videos, where tuning starts, than under independent "
            "noise.",
            "miss of the covariance of frames, closed-form worlds",
            {kind: misses(PUBLISHED[name].system.noise), "independent noise": independent},
            threshold=0.2,
            sign=-1,
            about={"sampling_steps": 50},
        )
