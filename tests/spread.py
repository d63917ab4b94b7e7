"""What test_distributed has two processes do: `torchrun spread.py FOLDER`.

FOLDER/ddp: 20 steps. FOLDER/fsdp: 12 steps. FOLDER/fsdp-on: the latter copied and continued to 20.
"""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from tiny_run import RUN

from pixeldance.training.loop import Training, train

SPREAD = replace(RUN, batch=4, steps=20, schedule="constant")


def fsdp(steps: int) -> Training:
    return replace(SPREAD, parallel="fsdp", steps=steps, sample_every=6, samples=1)


def main(folder: Path) -> None:
    train(replace(SPREAD, parallel="ddp", accumulate=2), folder / "ddp", progress=False)
    saved = train(fsdp(12), folder / "fsdp", progress=False)
    if os.environ["RANK"] == "0":
        shutil.copytree(saved.parent, folder / "fsdp-on")
    train(fsdp(20), folder / "fsdp-on", progress=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
