"""Makes the safetensors file that `pixeldance evaluate` takes, of the file that a published network came in.

Command:   python experiments/convert_extractor.py i3d rgb_imagenet.pt -o i3d.safetensors
           and so for inception (pt_inception-2015-12-05-6726825d.pth) and lpips (what torch.save made of LPIPS);
           c3d conv3d_deepnetA_ucf.npz --mean mean2.npz -o c3d.safetensors
Cost:      seconds
Expected:  a file that opens, and its SHA-256
Obtained:  with random weights of the published shapes only: the original files were not at hand

docs/extractors.md says where the originals are published. They are read with weights_only, or as arrays alone: a pickle
that holds anything but tensors is refused.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pixeldance.atomic import atomic_file
from pixeldance.metrics import c3d
from pixeldance.metrics.extractors import OPEN

NAMES = {"weight": "W", "bias": "b"}
FILES = sorted(OPEN.keys() - {"clip"})  # CLIP is published as safetensors


def read(network: str, source: Path, mean: Path | None) -> dict[str, torch.Tensor]:
    """The weights of an original file, by the names that our network has for them."""
    if network != "c3d":
        return torch.load(source, map_location="cpu", weights_only=True)
    if mean is None:
        sys.exit("Error: got no --mean; wanted the mean video that C3D's weights go with, mean2.npz")
    with np.load(source, allow_pickle=False) as kept, np.load(mean, allow_pickle=False) as means:
        # Chainer keeps each layer's kernel as W and bias as b, in the order that torch has.
        named = {f"{layer}.{ours}": kept[f"{layer}/{its}"] for layer in c3d.LAYERS for ours, its in NAMES.items()}
        named["mean"] = means["mean"].reshape(c3d.MEAN)
    return {name: torch.from_numpy(each).float() for name, each in named.items()}


def main() -> None:
    """Convert one file, and open the result as a check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=FILES)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--mean", type=Path, help="of C3D: its mean video")
    asked = parser.parse_args()
    originals = read(asked.network, asked.source, asked.mean)
    weights = {name: each.detach().clone().contiguous() for name, each in originals.items()}
    with atomic_file(asked.out) as part:
        save_file(weights, part)
    try:
        opened = OPEN[asked.network](asked.out)
    except ValueError as error:
        asked.out.unlink()
        sys.exit(f"Error: {error}")
    print(f"{asked.out}: {opened.name}, sha256 {opened.sha256}")


if __name__ == "__main__":
    main()
