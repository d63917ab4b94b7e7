"""The small video network behind the proxies of published metrics: it learns to tell the facts of toybox clips.

Command:   python experiments/proxy_network.py             (--steps 20 -o /tmp/trial for a trial; again to continue)
Cost:      10 minutes of one core (2,000 steps of 0.3 s)
Expected:  most facts told right on clips whose combination of shape, colour and motion training never showed
Obtained:  colour 99.8 % (chance 12.5), motion 87 % (chance 7), camera 71 % (75 % are still), shape 65 % (chance 12.5);
           in four parts, each continued from the last

Writes pixeldance/weights/proxy/network.safetensors and, beside this file, results/proxy_network.json. The same steps
give the same weights on the same processor. Accuracy is no aim in itself: what counts is whether the figures made
with its features rank corruptions (proxy_ranks.py).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from pixeldance.atomic import atomic_file
from pixeldance.data.toybox import WORLD, World, clip_and_scene
from pixeldance.metrics.proxy import FACTS, WEIGHTS, Network, digest, prepared

TRAINED = replace(WORLD, two=0.0, cut=0.0, moving_camera=0.25, roam=1.0)  # one of each fact a clip, anywhere
TESTED = replace(TRAINED, split="held-out")
TEST_SEED, TESTS = 2**41, 400
BATCH, RATE, DECAY = 16, 3e-3, 0.02
KEPT_EVERY = 20  # steps
RUN = Path(__file__).parents[1] / "runs" / "proxy_network"
RESULTS = Path(__file__).parent / "results" / "proxy_network.json"


def batch(first: int, world: World) -> tuple[Tensor, dict[str, Tensor]]:
    """Pixels and facts of `BATCH` clips from number `first` on."""
    clips = [clip_and_scene(first + number, world=world) for number in range(BATCH)]
    told = [
        {"shape": toy.shape, "colour": toy.colour, "motion": toy.motion, "camera": scene.camera}
        for _, scene in clips
        for toy in scene.toys
    ]
    facts = {fact: torch.tensor([names.index(each[fact]) for each in told]) for fact, names in FACTS.items()}
    return prepared(torch.stack([torch.from_numpy(clip.video) for clip, _ in clips])), facts


def train(steps: int, state: Path) -> Network:
    """A network from its seed, after so many steps on clips that are each seen once; `state` is where it is kept."""
    torch.manual_seed(0)
    net = Network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    held = {"net": net, "optimiser": optimiser, "rate": rate}
    start = 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        start = kept.pop("step")
        for name, each in kept.items():
            held[name].load_state_dict(each)
    for step in tqdm(range(start, steps), unit="step", mininterval=10, initial=start, total=steps):
        x, facts = batch(step * BATCH, TRAINED)
        _, logits = net(x)
        loss = sum(functional.cross_entropy(logits[fact], facts[fact]) for fact in FACTS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        if (step + 1) % KEPT_EVERY == 0:
            with atomic_file(state, overwrite=True) as part:
                torch.save({name: each.state_dict() for name, each in held.items()} | {"step": step + 1}, part)
    return net.eval()


def accuracy(net: Network) -> dict[str, float]:
    """The share of held-out clips of which each fact is told right."""
    right = dict.fromkeys(FACTS, 0)
    with torch.inference_mode():
        for first in range(0, TESTS, BATCH):
            x, facts = batch(TEST_SEED + first, TESTED)
            _, logits = net(x)
            for fact in FACTS:
                right[fact] += int((logits[fact].argmax(1) == facts[fact]).sum())
    return {fact: round(count / TESTS, 4) for fact, count in right.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("-o", "--out", type=Path, help="a folder for a trial; without one, the shipped files")
    asked = parser.parse_args()
    folder = RUN if asked.out is None else asked.out
    folder.mkdir(parents=True, exist_ok=True)
    trained = train(asked.steps, folder / f"state-{asked.steps}.pt")
    weights = WEIGHTS if asked.out is None else asked.out / WEIGHTS.name
    weights.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(weights, overwrite=True) as part:
        save_file(trained.state_dict(), part)
    result = {
        "steps": asked.steps,
        "clips": asked.steps * BATCH,
        "accuracy": accuracy(trained),
        "sha256": digest(weights),
    }
    report = RESULTS if asked.out is None else asked.out / RESULTS.name
    report.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
