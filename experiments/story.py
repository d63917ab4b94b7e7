"""The three-minute film of examples/story.yaml: rendered, and read shot by shot.

Command:   nice -n 5 python experiments/story.py                  (again to continue; a kill loses the clip in hand)
           python experiments/story.py --shots 3 --out runs/story-3       (the first shots only; no docs are touched)
           python experiments/story.py --draw                             (the pictures of the story again)
Cost:      119 clips, with the reading 3 minutes 20 seconds of one core of an AMD EPYC (Zen 3) beside another process;
           --workers 2 takes less on two cores
Expected:  in nine of ten frames of a shot every subject that its text names is there, in its shape; the ground is the
           one that is told; no seam between the shots of a take (a join step of 0.8 to 1.3 inner steps)
Obtained:  results/story.json and the table in docs/films.md, which this writes

seen: the share of frames with a patch of the colour of each subject that the text names, the least of them. shape:
whether each of these patches has the named shape over the shot, by the oracle. ground: whether the colour of the
background is the named one. join: of a shot that goes on from the one before, the step into it over the median of the
32 steps around. faults: the director's meter's of the shot (`pixeldance meter`), without the last two for want of an
asked frame.
"""

import argparse
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixeldance.cli.film import film
from pixeldance.data.toybox import Scene, Toy, render
from pixeldance.data.toybox.blobs import find
from pixeldance.data.toybox.ground import background_name, free, level
from pixeldance.data.toybox.match import shape_name
from pixeldance.data.toybox.phrases import SHAPE
from pixeldance.data.toybox.world import BACKGROUNDS, COLOURS, PX, SHAPES
from pixeldance.film.story import Shot, Story, read_story, texts, written
from pixeldance.image import write_image
from pixeldance.metrics.meter import metered
from pixeldance.sheet import contact_sheet
from pixeldance.video import iterate_video

STAR, BALL = ("star", "red"), ("circle", "blue")
HERE, THERE, NIGHT = "light blue", "beige", "dark blue"
MIDDLE, LARGE, SMALL = 8.2 * PX, 12.3 * PX, 4.9 * PX
PICTURES = {
    "star_left": (HERE, (*STAR, -16, 4, MIDDLE)),
    "star_middle": (HERE, (*STAR, -2, 4, MIDDLE)),
    "star_top": (HERE, (*STAR, -2, -10, MIDDLE)),
    "star_right": (HERE, (*STAR, 15, 4, MIDDLE)),
    "ball_right": (THERE, (*BALL, 16, 2, MIDDLE)),
    "ball_middle": (THERE, (*BALL, 2, 2, MIDDLE)),
    "ball_large": (THERE, (*BALL, 2, 2, LARGE)),
    "night_star_left": (NIGHT, (*STAR, -16, 0, MIDDLE)),
    "night_star_middle": (NIGHT, (*STAR, -4, 0, MIDDLE)),
    "night_star_right": (NIGHT, (*STAR, 12, 0, MIDDLE)),
    "night_ball_right": (NIGHT, (*BALL, 16, 4, MIDDLE)),
    "night_ball_middle": (NIGHT, (*BALL, 4, 4, MIDDLE)),
    "night_ball_left": (NIGHT, (*BALL, -12, 4, MIDDLE)),
    "pair_far": (HERE, (*STAR, -22, 6, MIDDLE), (*BALL, 22, 6, MIDDLE)),
    "pair_near": (HERE, (*STAR, -10, 6, MIDDLE), (*BALL, 10, 6, MIDDLE)),
    "pair_top": (HERE, (*STAR, -10, -10, MIDDLE), (*BALL, 10, -10, MIDDLE)),
    "pair_there_left": (THERE, (*STAR, -20, 4, MIDDLE), (*BALL, 0, 4, MIDDLE)),
    "pair_there_right": (THERE, (*STAR, -2, 4, MIDDLE), (*BALL, 18, 4, MIDDLE)),
    "pair_night": (NIGHT, (*STAR, -10, 0, MIDDLE), (*BALL, 10, 0, MIDDLE)),
    "pair_night_small": (NIGHT, (*STAR, -10, 0, SMALL), (*BALL, 10, 0, SMALL)),
}
"""The pictures of the story: a ground, and objects with their places (pixels of 64, from the middle) and radii."""
ROOT = Path(__file__).parents[1]
STORY, DOCS = ROOT / "examples" / "story.yaml", ROOT / "docs" / "films.md"
RESULTS, SHEET = ROOT / "experiments" / "results" / "story.json", ROOT / "docs" / "pictures" / "story.png"
BEGIN, END = "<!-- experiments/story.py -->\n", "<!-- end -->\n"
AROUND, SHOWN = 16, 8  # steps on either side of a join; frames of each shot in the sheet
NOUNS = {noun: shape for shape in SHAPES for phrase in SHAPE[shape] for noun in phrase.split()[-1:]}


def picture(ground: str, *objects: tuple[str, str, int, int, float]) -> np.ndarray:
    """A frame of the toybox."""
    toys = tuple(
        Toy(shape=shape, colour=colour, size="medium", radius=radius, start=(x * PX, y * PX), motion="still")
        for shape, colour, x, y, radius in objects
    )
    return render(Scene(toys=toys, background=ground, texture="plain"), frames=1)[0][0]


def named(text: str) -> dict[str, str]:
    """The subjects of a text, colour: shape."""
    found = re.findall(rf"\b({'|'.join(COLOURS)}) ({'|'.join(NOUNS)})\b", text)
    return {colour: NOUNS[noun] for colour, noun in found}


def row(shot: np.ndarray, text: str, fps: float) -> dict[str, Any]:
    """The readings of one shot's frames."""
    mean = level(shot, free(shot))
    found = find(shot, mean)
    seen, shapes = [], []
    for colour, shape in named(text).items():
        mine = [[blob for blob in blobs if blob.colour == colour] for blobs in found]
        seen.append(float(np.mean([bool(blobs) for blobs in mine])))
        largest = [blobs[0] for blobs in mine if blobs]
        shapes.append(bool(largest) and shape_name(largest) == shape)
    ground = next((name for name in sorted(BACKGROUNDS, key=len, reverse=True) if f"{name} background" in text), None)
    return {
        "seen": min(seen, default=None),
        "shape": all(shapes),
        "ground": ground is None or background_name(mean) == ground,
        "faults": metered(shot, fps=fps).faults(),
    }


def rows(story: Story, frames: np.ndarray, lengths: Sequence[int], fps: float) -> list[dict[str, Any]]:
    """The readings of all shots of a film, which have so many frames each."""
    steps = [float(np.abs(one.astype(float) - other).mean()) for one, other in pairwise(frames)]
    found, begin = [], 0
    for number, (shot, length) in enumerate(zip(story.shots, lengths, strict=True), start=1):
        text = " THEN ".join(texts(story, shot))
        entry = {"shot": number, "join": shot.joined if number > 1 else "", "text": text}
        entry |= row(frames[begin : begin + length], text, fps)
        if shot.joined != "cut":
            near = steps[begin - 1 - AROUND : begin - 1] + steps[begin : begin + AROUND]
            entry["step"] = steps[begin - 1] / max(float(np.median(near)), 0.15)
        found.append(entry)
        begin += length
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """The readings for docs/films.md."""
    lines = ["| shot | join | seen | shape | ground | join step | faults |", "|---|---|---|---|---|---|---|"]
    for each in found:
        cells = (
            f"{each['seen']:.0%}" if each["seen"] is not None else "",
            *("yes" if each[name] else "no" for name in ("shape", "ground")),
            f"{each['step']:.2f}" if "step" in each else "",
            ", ".join(each["faults"]),
        )
        lines.append(f"| {each['shot']} | {each['join']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def summary(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The film in a few numbers."""
    steps = [each["step"] for each in found if "step" in each]
    return {
        "shots": len(found),
        "seen_90": float(np.mean([each["seen"] is not None and each["seen"] >= 0.9 for each in found])),
        "shape": float(np.mean([each["shape"] for each in found])),
        "ground": float(np.mean([each["ground"] for each in found])),
        "steps_0.8_to_1.3": float(np.mean([0.8 <= step <= 1.3 for step in steps])) if steps else float("nan"),
        "faults_per_shot": float(np.mean([len(each["faults"]) for each in found])),
    }


def placed(shot: Shot) -> Shot:
    """A shot whose pictures are found from anywhere."""
    paths = {name: getattr(shot, name) for name in ("first", "last")}
    return shot.model_copy(update={name: path and str(STORY.parent / path) for name, path in paths.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint; the model that ships")
    parser.add_argument("--shots", type=int, help="only so many of the first; then results and docs stay as they are")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/story"), help="a folder for the film and its clips")
    parser.add_argument("--draw", action="store_true", help="draw the story's pictures, and make no film")
    asked = parser.parse_args()
    if asked.draw:
        for name, parts in PICTURES.items():
            write_image(STORY.with_suffix("") / f"{name}.png", picture(*parts), overwrite=True)
        return
    script = read_story(STORY)
    story = script.story.model_copy(update={"shots": [placed(each) for each in script.story.shots[: asked.shots]]})
    asked.out.mkdir(parents=True, exist_ok=True)
    place, made = asked.out / "story.yaml", asked.out / "story.mkv"
    place.write_text(written(story), encoding="utf-8")
    film(str(place), str(made), model=asked.model, workers=asked.workers, force=True)
    receipt = json.loads(made.with_suffix(".json").read_text())
    lengths = [0] * len(story.shots)
    for each in receipt["shown"]:
        lengths[each["shot"] - 1] += each["stop"] - each["start"]
    read, fps = iterate_video(made)
    frames = np.stack(list(read))
    found = rows(story, frames, lengths, fps)
    result = {"model": receipt["model"]["sha256"], "summary": summary(found), "shots": found}
    starts = np.cumsum([0, *lengths])
    shown = [
        (f"{each['shot']} {each['join']}: {each['text']}", shot[np.linspace(0, len(shot) - 1, SHOWN).astype(int)])
        for each, shot in zip(found, (frames[a:b] for a, b in pairwise(starts)), strict=True)
    ]
    sheet = asked.out / "sheet.png" if asked.shots else SHEET
    Image.fromarray(contact_sheet(shown, scale=1)).save(sheet, optimize=True)
    print(table(found), json.dumps(result["summary"], indent=1), sheet, sep="\n")
    if asked.shots:
        return
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    before, rest = DOCS.read_text().split(BEGIN)
    DOCS.write_text(before + BEGIN + table(found) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
