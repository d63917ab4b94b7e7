"""Makes the safetensors file that `pixeldance evaluate` takes, of the file that a published network came in.

Command:   python experiments/convert_extractor.py i3d rgb_imagenet.pt -o i3d.safetensors
           and so for inception (pt_inception-2015-12-05-6726825d.pth) and lpips (what torch.save made of LPIPS)
Cost:      seconds
Expected:  a file that opens, and its SHA-256
Obtained:  with random weights of the published shapes only: the original files were not at hand

docs/extractors.md says where the originals are published. They are read with weights_only: a pickle that holds anything
but tensors is refused.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from pixeldance.atomic import atomic_file
from pixeldance.metrics.extractors import OPEN

FILES = sorted(OPEN.keys() - {"clip"})  # CLIP is published as safetensors


def main() -> None:
    """Convert one file, and open the result as a check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=FILES)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    read = torch.load(asked.source, map_location="cpu", weights_only=True)
    weights = {name: each.detach().clone().contiguous() for name, each in read.items()}
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
