"""A strip of frames of each published system: what it makes, at toy size, of the texts and frames of held-out clips.

Command:   python experiments/systems/strips.py [NAME...]
Cost:      three minutes of a free core a system; again after Ctrl-C to go on
Question:  none: these are for the eye. Seed 0, the first two held-out clips; what a system takes of a clip's first and
           last frame it is given
Obtained:  docs/pictures/systems/NAME.png, which docs/systems.md shows
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import Arm, Model, base
from measures import FIRST_CLIP
from PIL import Image

from pixeldance.data.toybox import clip
from pixeldance.diffusion.noise import generators
from pixeldance.image import write_image
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.pipeline import Pipeline
from pixeldance.sheet import contact_sheet
from pixeldance.systems import PUBLISHED
from pixeldance.systems.toy import FPS, FRAMES, SIZE, TOY_WORLD
from pixeldance.training.loop import Training

PLACE = Path(__file__).parents[2] / "docs" / "pictures" / "systems"
CLIPS, STEPS = 2, 300
WORDS = {FIRST: "first frame", LAST: "last frame"}


def faster(training: Training) -> Training:
    """The same training for those who look: the experiments' own 100 steps settle questions and leave clouds."""
    return replace(training, optimiser="muon", rate=0.01, batch=16, image_batch=64)


def strip(name: str) -> np.ndarray:
    """The true clip and the made one under each other, for each request: uint8 (height, width, 3)."""
    model = Model(name=f"{name}-strip", published=base(name), steps=STEPS, recipe=faster)
    pipe, rows = Pipeline(Arm(name=name, model=model).parts(0)), []
    for number in range(CLIPS):
        shown = clip(FIRST_CLIP + number, world=TOY_WORLD, size=SIZE, frames=FRAMES)
        length = pipe.system.frames[0]
        ends = {FIRST: shown.video[0], LAST: shown.video[min(length, FRAMES) - 1]}
        taken = {place: picture for place, picture in ends.items() if place in pipe.system.condition.places}
        asked = Instruction(text=shown.text, frames=taken, length=length, size=SIZE, fps=FPS)
        made = pipe.render(asked, generators([number])[0])
        told = " and ".join(["text", *(word for place, word in WORDS.items() if place in taken)])
        rows += [(f"true: {shown.text}", shown.video[:length]), (f"made from {told}", made)]
    return contact_sheet(rows, scale=2)


def main() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or PUBLISHED:
        picture = np.asarray(Image.fromarray(strip(name)).quantize(128).convert("RGB"))
        write_image(PLACE / f"{name}.png", picture, overwrite=True)
        print(PLACE / f"{name}.png", flush=True)


if __name__ == "__main__":
    main()
