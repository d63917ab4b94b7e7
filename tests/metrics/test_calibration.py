"""The end-frame dial: the rule by which words get their tau, and the calibration of a real checkpoint."""

import shutil
from pathlib import Path

import pytest
from command import TEXT, Run

from pixeldance import checkpoint
from pixeldance.metrics import calibration
from pixeldance.metrics.calibration import Calibration, Point, calibrate, tau_of, words_of
from pixeldance.pipeline import Pipeline, load
from pixeldance.receipt import read_receipt


def curve(*similarities: float) -> list[Point]:
    """A curve over as many taus, evenly spaced."""
    most = len(similarities) - 1
    return [
        Point(tau=place / most, similarity=each, low=each - 1, high=each + 1, end_jump=1.0, smooth=0.5)
        for place, each in enumerate(similarities)
    ]


def known(folder: Path, *similarities: float) -> Calibration:
    """A calibration with such a curve, written for a checkpoint."""
    points = curve(*similarities)
    made = Calibration(
        model=checkpoint.model_hash(folder),
        pairs=1,
        steps=3,
        guidance=2.0,
        curve=points,
        words=words_of(points),
        versions={},
    )
    calibration.write(made, folder, overwrite=True)
    return made


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, whose folder may be written."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_the_words_keep_a_share_of_what_the_last_frame_brings():
    assert words_of(curve(10, 14, 18, 28, 30)) == {"exact": 1.0, "guide": 0.75, "hint": 0.5}
    assert words_of(curve(10, 30, 12, 28, 30)) == {"exact": 1.0, "guide": 0.75, "hint": 0.75}  # from there on
    assert words_of(curve(10, 25, 25, 30, 30)) == {"exact": 1.0, "guide": 0.25, "hint": 0.25}  # 0.75 is as exact
    assert words_of(curve(10, 10.9)) == {"exact": 1.0}
    assert words_of(curve(10, 12)) == {"exact": 1.0, "guide": 1.0, "hint": 1.0}
    assert words_of(curve(20, 15)) == {"exact": 1.0}


def test_a_word_and_a_similarity_have_a_tau(model: Path):
    known(model, 10, 14, 18, 28, 30)
    assert [tau_of(word, model) for word in ("exact", "guide", "hint")] == [1.0, 0.75, 0.5]
    assert tau_of("10dB", model) == 0
    assert tau_of("16dB", model) == pytest.approx(0.375)
    assert tau_of("30dB", model) == 1
    known(model, 10, 30, 12, 28, 29)
    assert tau_of("20dB", model) == pytest.approx(0.125)  # where it is first met
    for end in ("9.9dB", "30.1dB"):
        with pytest.raises(ValueError, match=r"have 10\.0 to 30\.0 dB"):
            tau_of(end, model)
    for end in ("close", "dB", "nandB", "25"):
        with pytest.raises(ValueError, match="--end"):
            tau_of(end, model)


def test_a_calibration_is_of_one_checkpoint(model: Path):
    assert tau_of("exact", model) == 1  # which every model has
    with pytest.raises(ValueError, match=f"has no calibration.*pixeldance calibrate {model}"):
        tau_of("guide", model)
    known(model, 10, 10.5)
    with pytest.raises(ValueError, match="leads this model nowhere"):
        tau_of("guide", model)
    made = known(model, 10, 20)
    calibration.write(made.model_copy(update={"model": "0" * 64}), model, overwrite=True)
    with pytest.raises(ValueError, match="is of other weights, 000000000000"):
        tau_of("hint", model)
    (model / calibration.FILE).write_text("{}")
    with pytest.raises(ValueError, match="is not a calibration"):
        tau_of("hint", model)


def test_a_model_is_measured(model: Path, run: Run):
    code, out, err = run("calibrate", model, "--pairs", 2)
    assert (code, err) == (0, "")
    made = calibration.read(model)
    assert [point.tau for point in made.curve] == list(calibration.TAUS)
    assert (made.pairs, made.steps, made.model) == (2, 3, checkpoint.model_hash(model))
    assert all(point.low <= point.similarity <= point.high for point in made.curve)
    # Three steps have four cuts: tau 0 and 1 differ, and equal cuts give equal figures.
    assert 2 <= len({point.similarity for point in made.curve}) <= 4
    assert made.words["exact"] == 1
    assert out.splitlines()[0].split() == ["tau", "similarity", "(dB)", "end", "jump", "smooth"]
    assert out.splitlines()[-1] == str(model / calibration.FILE)
    assert calibrate(load(model), 2, (0.0, 1.0)).curve == [made.curve[0], made.curve[-1]]
    code, _, err = run("calibrate", model)
    assert code == 2
    assert "never overwritten unasked" in err


def test_what_cannot_be_measured(model: Path):
    pipeline = load(model)
    with pytest.raises(ValueError, match="0 pairs"):
        calibrate(pipeline, 0)
    for taus in ((0.0, 0.5), (0.5, 1.0), (0.0, 1.0, 0.5), (0.0, 0.0, 1.0)):
        with pytest.raises(ValueError, match="rising from 0 to 1"):
            calibrate(pipeline, 1, taus)
    with pytest.raises(ValueError, match="made in memory"):
        calibrate(Pipeline(pipeline.parts), 1)


def test_generate_takes_the_words(model: Path, here: Path, run: Run):
    ask = ["generate", TEXT, "--model", model, "--steps", 1, "--seed", 1, "--force", "-o", "out.mkv"]
    code, _, err = run(*ask, "--last", "b.png", "--end", "guide")
    assert code == 2
    assert "pixeldance calibrate" in err
    known(model, 10, 14, 18, 28, 30)
    for end, tau in (("exact", 1.0), ("guide", 0.75), ("16dB", 0.375)):
        assert run(*ask, "--last", "b.png", "--end", end)[0] == 0
        assert read_receipt(Path("out.json")).request.tau == pytest.approx(tau)
    for more in (["--tau", 0.5, "--last", "b.png"], ["--tau-steps", 1, "--last", "b.png"], []):
        code, _, err = run(*ask, "--end", "guide", *more)
        assert code == 2
        assert "it needs --last, and takes the place of --tau" in err
