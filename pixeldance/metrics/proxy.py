"""Our own small video network, for figures where the published networks are not at hand: `fvd-proxy` and its like.

It was trained to tell the facts of toybox clips (experiments/proxy_network.py) and has never seen footage. Its figures
compare models on the same data and are comparable with no published number. Which of them may be reported at all, by
whether they rank known corruptions, is measured by experiments/proxy_ranks.py and read from its result (`trusted`).
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from pixeldance.data.toybox.world import CAMERAS, COLOURS, MOTIONS, SHAPES

FOLDER = Path(__file__).parents[1] / "weights" / "proxy"
WEIGHTS, RANKS = FOLDER / "network.safetensors", FOLDER / "ranks.json"

FACTS = {"shape": SHAPES, "colour": tuple(COLOURS), "motion": MOTIONS, "camera": tuple(CAMERAS)}
"""What the network tells of a clip, each a choice."""

SIDE = 64  # pixels that the network looks at
STEM = 16
# Of each block: channels, stride in space, stride in time.
BLOCKS = ((24, 2, 1), (40, 2, 2), (64, 1, 1), (96, 2, 2))
WIDTH = sum(channels for channels, *_ in BLOCKS)  # of the features
RESIZE = f"{SIDE} x {SIDE}, bilinear with antialiasing, shape not kept"
LEAST_SPEARMAN = 0.9

Video = UInt8[np.ndarray, "f h w 3"]


class Network(nn.Module):
    """A (2+1)D convolutional network (arXiv 1711.11248), its spatial and temporal filters taking turns.

    Forward takes pixels in [-1, 1] and gives the features, the means over space and time of the four blocks' outputs,
    and the logits of each of `FACTS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, STEM, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False), nn.BatchNorm3d(STEM), nn.ReLU()
        )
        widths = (STEM, *(channels for channels, *_ in BLOCKS))
        self.blocks = nn.ModuleList(
            _block(before, channels, space, time)
            for before, (channels, space, time) in zip(widths, BLOCKS, strict=False)
        )
        self.heads = nn.ModuleDict({fact: nn.Linear(2 * widths[-1], len(names)) for fact, names in FACTS.items()})

    def forward(self, x: Float[Tensor, "b 3 f h w"]) -> tuple[Float[Tensor, "b d"], dict[str, Float[Tensor, "b _"]]]:
        x = self.stem(x)
        means = []
        for block in self.blocks:
            x = block(x)
            means.append(x.mean(dim=(2, 3, 4)))
        pooled = torch.cat([means[-1], x.amax(dim=(2, 3, 4))], dim=1)  # the largest: an object is a small part
        return torch.cat(means, dim=1), {fact: head(pooled) for fact, head in self.heads.items()}


@cache
def network(path: Path = WEIGHTS) -> Network:
    """The trained network, which is shipped."""
    if not path.exists():
        raise ValueError(f"{path} is missing; install the package again, or run experiments/proxy_network.py")
    made = Network()
    made.load_state_dict(load_file(path))
    return made.eval().requires_grad_(False)


def digest(path: Path = WEIGHTS) -> str:
    """The SHA-256 of a file of weights, which every report names."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepared(videos: UInt8[Tensor, "b f h w 3"]) -> Float[Tensor, "b 3 f i j"]:
    """Pixels as the network takes them: its size, [-1, 1], channels first."""
    b, f = videos.shape[:2]
    x = videos.flatten(0, 1).permute(0, 3, 1, 2).float()
    if x.shape[2:] != (SIDE, SIDE):
        x = functional.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
    return (x / 127.5 - 1).unflatten(0, (b, f)).transpose(1, 2)


def seen(
    videos: Iterable[Video], of: Network | None = None
) -> tuple[Float32[np.ndarray, "n d"], dict[str, np.ndarray]]:
    """The features of videos, a row each, and for each fact the probabilities (n, k).

    Any length will do, but only figures of equal lengths can be compared. Raises ValueError for no videos.
    """
    told = network() if of is None else of
    features, facts = [], []
    with torch.inference_mode():
        for video in videos:  # one by one: a row does not depend on what else is asked
            row, logits = told(prepared(torch.from_numpy(np.ascontiguousarray(video))[None]))
            features.append(row[0].numpy())
            facts.append({fact: each[0].softmax(0).numpy() for fact, each in logits.items()})
    if not features:
        raise ValueError("got no videos; wanted one or more")
    return np.stack(features), {fact: np.stack([each[fact] for each in facts]) for fact in FACTS}


def trusted(name: str, path: Path | None = None) -> str | None:
    """None where the proxy `name` ranks five levels of every corruption with a Spearman correlation above 0.9; else
    why it may not be reported. path: of another result than the one that ships."""
    ranks = RANKS if path is None else path
    if not ranks.exists():
        return f"it was never checked against known corruptions ({ranks.name} is missing)"
    checked = json.loads(ranks.read_bytes())
    if checked["network"] != digest():
        return "the check against known corruptions was made with another network; run experiments/proxy_ranks.py"
    if name not in checked["spearman"]:
        return "it was never checked against known corruptions"
    failed = [f"{what} ({value:.2f})" for what, value in checked["spearman"][name].items() if value <= LEAST_SPEARMAN]
    return f"it does not rank five levels of {', '.join(failed)} with a correlation above 0.9" if failed else None


def _block(before: int, channels: int, space: int, time: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(before, channels, (1, 3, 3), (1, space, space), (0, 1, 1), bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(),
        nn.Conv3d(channels, channels, (3, 1, 1), (time, 1, 1), (1, 0, 0), bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(),
    )
