"""The experiments on the dial and on the three-minute film: their figures are what their rows and frames say."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pixeldance.data.toybox import Scene, Toy, render
from pixeldance.film.story import Shot, Story
from pixeldance.image import read_image
from pixeldance.metrics.calibration import Calibration, Point

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The module of an experiment's file."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return import_module


def test_the_dial_is_asked_for_words_and_for_similarities_of_its_curve(experiment: Callable[[str], ModuleType]):
    points = [(0.0, 20.0), (1.0, 30.0)]
    fixed = {"low": 0.0, "high": 50.0, "end_jump": 1.0, "smooth": 1.0}
    curve = [Point(tau=tau, similarity=similarity, **fixed) for tau, similarity in points]
    words = {"exact": 1.0, "guide": 0.8}
    known = Calibration(model="0", pairs=1, steps=1, guidance=1.0, curve=curve, words=words, versions={})
    assert experiment("dial").asks(known) == {"exact": None, "guide": None, "22.5dB": 22.5, "27.5dB": 27.5}


def test_the_figures_of_the_dial(experiment: Callable[[str], ModuleType]):
    rows = [
        {"pair": pair, "end": end, "similarity": 25.0 + pair, "jump": jump, "real_jump": 2.0}
        for end, jumps in (("exact", (4.0, 5.0, 4.0, None)), ("guide", (2.0, 3.0, 2.0, 2.0)), ("26dB", (None,) * 4))
        for pair, jump in enumerate(jumps)
    ]
    found = experiment("dial").figures(rows, {"exact": None, "guide": None, "26dB": 26.0})
    ends = found["ends"]
    assert (ends["exact"]["jump"], ends["exact"]["smooth"], ends["exact"]["read"]) == (2.0, 0.0, 3)
    assert (ends["guide"]["jump"], ends["guide"]["smooth"]) == (1.0, 0.75)
    assert (ends["26dB"]["within_2dB"], ends["26dB"]["median_off"], ends["26dB"]["read"]) == (1.0, 0.5, 0)
    assert found["guide_minus_exact"] == {"pairs": 3, "mean": -1.0, "interval": (-1.0, -1.0)}


def test_the_pictures_of_the_story_are_those_that_it_draws(experiment: Callable[[str], ModuleType]):
    film = experiment("story")
    folder = EXPERIMENTS.parent / "examples" / "story"
    assert {path.stem for path in folder.iterdir()} == set(film.PICTURES)
    for name, parts in film.PICTURES.items():
        assert (read_image(folder / f"{name}.png") == film.picture(*parts)).all()


def test_a_film_is_read_shot_by_shot(experiment: Callable[[str], ModuleType]):
    film = experiment("story")
    assert film.named("a red star moves up and a blue ball grows") == {"red": "star", "blue": "circle"}
    assert film.named("the red of the star") == {}

    def shot(colour: str, way: str) -> np.ndarray:
        toy = Toy(
            shape="star",
            colour=colour,
            size="medium",
            radius=0.13,
            start=(-0.1, 0),
            motion=way,
            travel=0.2,
            speed="fast",
        )
        return render(Scene(toys=(toy,), background="beige", texture="plain"), frames=32)[0]

    told = "a red star moves right on a plain beige background"
    shots = [Shot(text=told), Shot(text=told, join="continue"), Shot(text="a red ring on a plain white background")]
    frames = np.concatenate([shot("red", "right"), shot("green", "right"), shot("red", "still")])
    first, second, third = film.rows(Story(shots=shots), frames, [32, 32, 32], 8.0)
    assert (first["seen"], first["shape"], first["ground"], "step" in first) == (1.0, True, True, False)
    assert (second["seen"], second["shape"]) == (0.0, False)
    assert second["step"] > 5  # back at the start, in another colour
    assert (third["seen"], third["shape"], third["ground"]) == (1.0, False, False)
    lines = film.table([first, second, third]).splitlines()
    assert lines[2].startswith("| 1 |  | 100% | yes | yes |  |")
    assert film.summary([first, second, third])["seen_90"] == pytest.approx(2 / 3)
