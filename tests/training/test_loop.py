"""The training loop: it learns, tells what it does, leaves out what is no number, and stops where it should."""

import os
import signal
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import RUN, SMALLER, Colours, lines, same

from pixeldance import checkpoint
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts
from pixeldance.training import loop
from pixeldance.training.loop import latest, train
from pixeldance.training.schedule import Ema
from pixeldance.training.state import generator


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder).state_dict()


def test_log_and_checkpoints(tmp_path: Path):
    final = train(replace(RUN, save_minutes=0.0), tmp_path, progress=False)
    log = lines(tmp_path)
    assert [line["step"] for line in log] == list(range(10))
    assert [line["step"] for line in log if line["kind"] == "image"] == [3, 7]
    assert [line["rate"] for line in log] == pytest.approx([5e-4] + [1e-3] * 6 + [7.5e-4, 5e-4, 2.5e-4])
    assert all(line["norm"] > 0 and line["per_second"] > 0 and line["unreadable"] == 0 for line in log)
    assert sorted(folder.name for folder in tmp_path.glob("step-*")) == ["step-0000009", "step-0000010"]
    assert latest(tmp_path) == final
    assert checkpoint.read_config(final)["about"]["steps"] == 10
    assert train(RUN, tmp_path, progress=False) == final, "a run that is done is left as it is"
    assert len(lines(tmp_path)) == 10


def test_it_learns_and_the_frozen_codec_stays(tmp_path: Path):
    final = train(replace(RUN, steps=60, rate=5e-3), tmp_path, progress=False)
    values = [line["loss"] for line in lines(tmp_path)]
    assert sum(values[-10:]) < 0.6 * sum(values[:10])
    torch.manual_seed(RUN.seed)
    fresh, trained = Parts(SMALLER), checkpoint.load(final)
    for (name, before), after in zip(fresh.state_dict().items(), trained.state_dict().values(), strict=True):
        if name.startswith("codec."):
            assert torch.equal(before, after), name
    assert not torch.equal(fresh.net.conv_in.spatial.weight, trained.net.conv_in.spatial.weight)


def test_a_continued_run_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For every optimiser: their states differ. Stopped by an error in the middle of step 5."""
    for optimiser in ("adamw", "muon"):
        run = replace(RUN, optimiser=optimiser, save_minutes=0.0, steps=8)
        unbroken = train(run, tmp_path / f"{optimiser}-unbroken", progress=False)
        broken = tmp_path / f"{optimiser}-broken"
        with monkeypatch.context() as patch:
            patch.setattr(loop.State, "update", failing_at(5, loop.State.update))
            with pytest.raises(ZeroDivisionError):
                train(run, broken, progress=False)
        assert (latest(broken) or broken).name == "step-0000005"
        assert same(unbroken, train(run, broken, progress=False))
        assert [(line["step"], line["loss"]) for line in lines(broken)] == [
            (line["step"], line["loss"]) for line in lines(tmp_path / f"{optimiser}-unbroken")
        ]


def failing_at(step: int, update: Any) -> Any:
    def fail(state: loop.State, *rest: Any) -> Any:
        return 1 / 0 if state.counts.step == step else update(state, *rest)

    return fail


def test_accumulation_and_workers_change_nothing_but_rounding(tmp_path: Path):
    train(RUN, tmp_path / "plain", progress=False)
    train(replace(RUN, accumulate=2, workers=2), tmp_path / "pieces", progress=False)
    pairs = zip(lines(tmp_path / "plain"), lines(tmp_path / "pieces"), strict=True)
    for one, other in pairs:
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-5)
        assert other["norm"] == pytest.approx(one["norm"], abs=1e-4)


def test_pixels_are_encoded_on_the_way(tmp_path: Path):
    """White and black pixels are latents of ones and minus ones to a codec that folds."""
    train(replace(RUN, steps=4), tmp_path / "latents", progress=False)
    train(replace(RUN, steps=4, data=partial(Colours, pixels=True)), tmp_path / "pixels", progress=False)
    assert [line["loss"] for line in lines(tmp_path / "pixels")] == [
        line["loss"] for line in lines(tmp_path / "latents")
    ]


def test_images_come_from_their_own_source(tmp_path: Path):
    train(replace(RUN, images=lambda: Colours(unreadable=(0, 1))), tmp_path, progress=False)
    assert [line["unreadable"] for line in lines(tmp_path)] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_what_is_no_number_is_left_out_and_told(tmp_path: Path):
    """Clips 4 and 5 are step 2; the average and the optimiser never see it."""
    final = train(replace(RUN, data=lambda: Colours(unsound=(4, 6)), image_every=0), tmp_path, progress=False)
    log = lines(tmp_path)
    assert [line["step"] for line in log if "skipped" in line] == [2]
    assert (log[2]["skipped"], log[2]["seed"], log[2]["loss"]) == (["colour 4", "colour 5"], 0, None)
    assert all(bool(weight.isfinite().all()) for weight in weights(final).values())
    assert log[3]["loss"] == pytest.approx(log[3]["loss"])


def test_too_many_of_them_in_a_row_end_the_run_also_across_a_restart(tmp_path: Path):
    run = replace(RUN, data=lambda: Colours(unsound=(4, 14)), image_every=0, nan_skips=2, save_minutes=0.0)
    with pytest.raises(FloatingPointError, match="in 3 steps in a row, the last being step 4 with seed 0 on colour 8"):
        train(run, tmp_path, progress=False)
    with pytest.raises(FloatingPointError, match="in 3 steps in a row, the last being step 4"):
        train(run, tmp_path, progress=False)
    assert len(lines(tmp_path)) == 5


def test_unreadable_clips_are_recorded_once_and_the_run_goes_on(tmp_path: Path):
    train(replace(RUN, data=lambda: Colours(unreadable=(2, 4)), image_every=0), tmp_path, progress=False)
    assert [line["unreadable"] for line in lines(tmp_path)] == [0, 2] + [0] * 8
    assert lines(tmp_path, "quarantine.jsonl") == [
        {"name": "colour 2", "reason": "torn", "step": 1},
        {"name": "colour 3", "reason": "torn", "step": 1},
    ]


def test_too_much_unreadable_data_ends_the_run(tmp_path: Path):
    run = replace(RUN, data=lambda: Colours(unreadable=(0, 10**6)), steps=100, batch=10, image_every=0)
    with pytest.raises(ValueError, match=r"50 of 100 readings failed, more than max_unreadable=0\.1 allows"):
        train(run, tmp_path, progress=False)
    train(replace(run, max_unreadable=1.0, steps=6), tmp_path, progress=False)


def test_only_named_weights_train(tmp_path: Path):
    final = train(replace(RUN, train=("net.*temporal*",), ema=Ema(limit=0)), tmp_path, progress=False)
    torch.manual_seed(RUN.seed)
    fresh = Parts(SMALLER).state_dict()
    changed = {name for name, weight in weights(final).items() if not torch.equal(weight, fresh[name])}
    assert changed
    assert all("temporal" in name for name in changed)


def test_a_run_starts_from_another_ones_weights(tmp_path: Path, tiny_model: Path):
    first = train(replace(RUN, steps=2), tmp_path / "first", progress=False)
    longer = replace(SMALLER, frames=(8, 1), fps=4.0)
    second = train(
        replace(RUN, system=longer, init=first, steps=1, rate=0.0, weight_decay=0.0),
        tmp_path / "second",
        progress=False,
    )
    assert checkpoint.read_system(second) == longer
    assert all(torch.equal(weight, weights(first)[name]) for name, weight in weights(second).items())
    with pytest.raises(ValueError, match="its tensors do not fit the system"):
        train(replace(RUN, init=tiny_model), tmp_path / "third", progress=False)


def test_bfloat16_is_close_to_float32(tmp_path: Path):
    train(replace(RUN, steps=3), tmp_path / "whole", progress=False)
    final = train(replace(RUN, steps=3, precision="bf16"), tmp_path / "half", progress=False)
    for one, other in zip(lines(tmp_path / "whole"), lines(tmp_path / "half"), strict=True):
        assert one["loss"] != other["loss"]
        assert one["loss"] == pytest.approx(other["loss"], rel=0.03)
    assert {weight.dtype for weight in weights(final).values()} == {torch.float32}


def test_samples_and_figures_are_made_on_the_way(tmp_path: Path):
    """They change nothing of the run; samples are pictures of what the model makes."""
    shown = list[Pipeline]()

    def evaluate(pipe: Pipeline) -> dict[str, float]:
        shown.append(pipe)
        return {"seen": float(len(shown)), "nothing": float("nan")}

    run = replace(RUN, steps=4, sample_every=2, samples=1, evaluate_every=4, evaluate=evaluate)
    final = train(run, tmp_path / "watched", progress=False)
    assert same(final, train(replace(RUN, steps=4), tmp_path / "alone", progress=False))
    assert lines(tmp_path / "watched", "figures.jsonl") == [{"step": 3, "seen": 1.0, "nothing": None}]
    names = sorted(path.name for path in (tmp_path / "watched" / "samples").iterdir())
    assert names == ["step-0000002-0.mp4", "step-0000002.png", "step-0000004-0.mp4", "step-0000004.png"]
    kept = weights(final)
    assert all(torch.equal(weight, kept[name]) for name, weight in shown[0].parts.state_dict().items())


def test_samples_that_cannot_be_made_are_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("got a video that is not made of numbers")

    monkeypatch.setattr(loop.watch, "sample", broken)
    assert train(replace(RUN, steps=2, sample_every=1), tmp_path, progress=False).name == "step-0000002"
    assert "no samples of step 1: got a video that is not made of numbers" in capsys.readouterr().err


def test_curves_for_tensorboard(tmp_path: Path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(replace(RUN, steps=4, tensorboard=True), tmp_path, progress=False)
    curves = events.EventAccumulator(str(tmp_path / "tensorboard"))
    curves.Reload()
    assert [event.step for event in curves.Scalars("video/loss")] == [0, 1, 2]
    assert [event.value for event in curves.Scalars("image/loss")] == pytest.approx([lines(tmp_path)[3]["loss"]])


@pytest.mark.parametrize(
    ("number", "ending"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)], ids=["term", "int"]
)
def test_a_signal_ends_the_run_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, ending: type[BaseException]
):
    before = signal.getsignal(number)
    unbroken = train(RUN, tmp_path / "unbroken", progress=False)
    update = loop.State.update

    def signalled(state: loop.State, *rest: Any) -> Any:
        if state.counts.step == 4:
            os.kill(os.getpid(), number)
        return update(state, *rest)

    monkeypatch.setattr(loop.State, "update", signalled)
    with pytest.raises(ending) as caught:
        train(RUN, tmp_path / "broken", progress=False)
    assert getattr(caught.value, "code", 143) == 143
    assert (latest(tmp_path / "broken") or tmp_path).name == "step-0000005"
    assert signal.getsignal(number) is before
    assert same(unbroken, train(RUN, tmp_path / "broken", progress=False))


def test_a_thread_trains_without_signals(tmp_path: Path):
    thread = threading.Thread(target=train, args=(replace(RUN, steps=1), tmp_path, False))
    thread.start()
    thread.join()
    assert latest(tmp_path) is not None


def test_every_step_place_and_seed_has_its_own_randomness():
    """torch reads 32 bits of a seed: a seed kept above them would change nothing."""
    keys = [(seed, step, place) for seed in (0, 1) for step in (0, 1, 39_999) for place in (0, 1, 2)]
    draws = {tuple(torch.randn(4, generator=generator(*key)).tolist()) for key in keys}
    assert len(draws) == len(keys)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "got steps=0; wanted 1 or more"),
        ({"image_every": -1}, "got image_every=-1; wanted 0 or more"),
        ({"evaluate_every": 5}, "no `evaluate` to call"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        replace(RUN, **settings)


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match=r"batch of 4 for 3 parts \(processes x accumulate\); take 3"):
        train(replace(RUN, batch=3, accumulate=3), tmp_path, progress=False)
    assert not list(tmp_path.glob("run.json"))
