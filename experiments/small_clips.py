"""The picture in the docs of what the shipped model makes of captions it never saw, failures included.

Command:   python experiments/small_clips.py
Cost:      a minute and a half on one core
Obtained:  docs/clips.png: the first 15 held-out captions, none chosen
"""

from pathlib import Path

import numpy as np
import torch

import pixeldance
from pixeldance.data.toybox import read
from pixeldance.image import write_image
from pixeldance.metrics.toybox import trials
from pixeldance.sheet import contact_sheet

COUNT, EVERY = 15, 3
PICTURE = Path(__file__).parents[1] / "docs" / "clips.png"


def told(clip: np.ndarray) -> str:
    """What the oracle sees in a clip."""
    things = read(clip).things
    return (things[0].motion or "no motion it knows") if things else "nothing"


def main() -> None:
    torch.set_num_threads(1)
    rows = list[tuple[str, np.ndarray]]()
    for trial in trials(pixeldance.load(), COUNT, progress=lambda done: print(f"{done} of {COUNT}", flush=True)):
        rows.append((trial.text, trial.real))
        rows.append((f"text + first frame: read as {told(trial.free)}", trial.free))
        rows.append((f"with last frame: read as {told(trial.ended)}", trial.ended))
    frames = [*range(0, 16, EVERY)]
    sheet = contact_sheet([(label, clip[frames]) for label, clip in rows], columns=len(frames), scale=1)
    write_image(PICTURE, sheet, overwrite=True)


if __name__ == "__main__":
    main()
