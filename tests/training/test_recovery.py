"""A run outlives what happens to it: killed at any moment, with damaged checkpoints, a full disk, another recipe."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from command import program
from tiny_run import RUN, SMALLER, Colours, lines, same

from pixeldance.data.toybox import ONE_OBJECT
from pixeldance.data.toybox.source import Toybox
from pixeldance.training.loop import latest, train
from pixeldance.training.recipe import check, described

OFTEN = replace(RUN, steps=8, save_minutes=0.0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a run to which nothing happened."""
    return train(OFTEN, tmp_path_factory.mktemp("runs") / "unbroken", progress=False)


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in lines(folder)]


def steps_done(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def half_written(folder: Path) -> bool:
    """Whether a checkpoint is being written just now."""
    return any(path.is_dir() for path in folder.glob(".pixeldance-*.part"))


def killed(folder: Path, moment: Callable[[], bool], pause: float) -> None:
    """Train in a process of its own, which gets SIGKILL `pause` seconds after the moment."""
    # A fork has all modules loaded; what it does with the files is what any process would do.
    child = get_context("fork").Process(target=train, args=(OFTEN, folder, False))
    child.start()
    while child.is_alive() and not moment():
        time.sleep(0.002)
    time.sleep(pause)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(unbroken: Path, tmp_path: Path):
    folder = tmp_path / "killed"
    killed(folder, lambda: steps_done(folder) >= 1, 0.03)
    killed(folder, lambda: steps_done(folder) >= 3 and half_written(folder), 0.0)
    assert half_written(folder), "the kill came too late to break a save"
    killed(folder, lambda: steps_done(folder) >= 5, 0.1)
    killed(folder, lambda: steps_done(folder) >= 6 and half_written(folder), 0.005)
    assert same(unbroken, train(OFTEN, folder, progress=False))
    assert losses(folder) == losses(unbroken.parent)
    assert not half_written(folder), "what a killed save leaves is cleared away"


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a bit of the weights": lambda saved: flip(saved / "net.safetensors"),
    "the optimiser cut short": lambda saved: cut_short(saved / "training" / "whole.safetensors"),
    "no optimiser": lambda saved: shutil.rmtree(saved / "training"),
    "half a config": lambda saved: cut_short(saved / "config.json"),
    "no config": lambda saved: (saved / "config.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_left_for_the_one_before(
    unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], Any]
):
    folder = shutil.copytree(unbroken.parent, tmp_path / "run")
    damage(folder / unbroken.name)
    assert same(unbroken, train(OFTEN, folder, progress=False))
    assert losses(folder) == losses(unbroken.parent)
    assert (folder / "damaged-step-0000008").is_dir()
    message = capsys.readouterr().err
    assert "step-0000008" in message
    assert "moved to damaged-step-0000008, going on from the one before" in message


def test_without_a_sound_checkpoint_it_begins_again(unbroken: Path, tmp_path: Path):
    folder = shutil.copytree(unbroken.parent, tmp_path / "run")
    for saved in folder.glob("step-*"):
        flip(saved / "text.safetensors")
    short = replace(OFTEN, steps=1)
    train(short, folder, progress=False)
    assert losses(folder) == losses(unbroken.parent)[:1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one and a half checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1100k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(unbroken: Path, small_disk: Path):
    size = sum(path.stat().st_size for path in unbroken.rglob("*") if path.is_file())
    assert 600_000 < size < 1_000_000, "the disk must hold one checkpoint and not two"
    folder = small_disk / "run"
    with pytest.raises(OSError, match=r"step-0000002 could not be written: No space left on device .*free some space"):
        train(OFTEN, folder, progress=False)
    assert not half_written(folder)
    saved = latest(folder)
    assert saved is not None
    assert saved.name == "step-0000001"
    elsewhere = shutil.copytree(folder, small_disk.parent / "larger")
    assert same(unbroken, train(OFTEN, elsewhere, progress=False))


def test_one_run_a_folder(tmp_path: Path):
    child = get_context("fork").Process(target=train, args=(replace(OFTEN, steps=10**6), tmp_path, False))
    child.start()
    while not steps_done(tmp_path):
        time.sleep(0.01)
    with pytest.raises(ValueError, match="is being trained by another process"):
        train(OFTEN, tmp_path, progress=False)
    child.kill()
    child.join()


def test_the_program_ends_on_sigterm_with_143_after_saving(tmp_path: Path):
    experiment = Path(__file__).parents[1] / "tiny_run.py"
    run = program("train", experiment, "save_minutes=1000", "workers=1", "-o", tmp_path, "--steps", 10**6)
    while run.poll() is None and steps_done(tmp_path) < 2:
        time.sleep(0.02)
    run.terminate()
    _, error = run.communicate(timeout=120)
    assert run.returncode == 143
    saved = latest(tmp_path)
    assert saved is not None, error
    assert int(saved.name.removeprefix("step-")) == steps_done(tmp_path)
    assert "stopping: a checkpoint of step" in error
    assert "Traceback" not in error


# The recipe.


def test_a_run_keeps_its_recipe(unbroken: Path):
    kept = json.loads((unbroken.parent / "run.json").read_text())
    assert set(kept) == {"version", "system_sha256", "recipe"}
    assert kept["recipe"]["data"] == "Colours"
    assert kept["recipe"]["objective"]["kind"] == "Objective"
    assert kept["recipe"]["system"]["net"]["widths"] == [8]


def test_another_recipe_is_refused_and_named(unbroken: Path, tmp_path: Path):
    folder = shutil.copytree(unbroken.parent, tmp_path / "run")
    other = replace(OFTEN, rate=0.5, data=partial(Colours, pixels=True))
    with pytest.raises(ValueError, match=r"data: began with Colours, got .*'pixels': True.*; rate: began with 0\.001"):
        train(other, folder, progress=False)
    with pytest.raises(ValueError, match="system: began with"):
        train(replace(OFTEN, system=replace(SMALLER, fps=3.0)), folder, progress=False)
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match="not the recipe of a run"):
        train(OFTEN, folder, progress=False)


def test_fields_that_came_after_a_run_began_have_their_defaults(unbroken: Path, tmp_path: Path):
    folder = shutil.copytree(unbroken.parent, tmp_path / "run")
    worlds = replace(OFTEN, data=partial(Toybox, world=ONE_OBJECT))
    record = json.loads((folder / "run.json").read_text())
    record["recipe"]["data"] = described(worlds)["data"]
    del record["recipe"]["system"]["step_offset"], record["recipe"]["system"]["net"]["temporal_place"]
    del record["recipe"]["objective"]["locate"], record["recipe"]["objective"]["weight"]["cap"]
    del record["recipe"]["data"]["world"]["styles"], record["recipe"]["max_unreadable"]
    (folder / "run.json").write_text(json.dumps(record))
    check(worlds, folder)
    with pytest.raises(ValueError, match=r"^\S+ is a run of another recipe \(objective: began with"):
        check(replace(worlds, objective=replace(OFTEN.objective, locate=0.5)), folder)
    with pytest.raises(ValueError, match=r"^\S+ is a run of another recipe \(data: began with"):
        check(replace(worlds, data=partial(Toybox, world=replace(ONE_OBJECT, styles=("ink",)))), folder)
    told = replace(SMALLER, step_offset=-1.0)
    with pytest.raises(ValueError, match="system: began with"):
        check(replace(worlds, system=told), folder)


def test_a_recipe_that_never_trained_binds_nobody(tmp_path: Path):
    def missing() -> Colours:
        raise ValueError("no such folder")

    with pytest.raises(ValueError, match="no such folder"):
        train(replace(OFTEN, data=missing), tmp_path, progress=False)
    assert not (tmp_path / "run.json").exists()
    train(replace(OFTEN, steps=1), tmp_path, progress=False)


def test_length_and_looks_may_change(unbroken: Path, tmp_path: Path):
    folder = shutil.copytree(unbroken.parent, tmp_path / "run")
    longer = replace(OFTEN, steps=9, cooldown=1, save_minutes=5.0, keep=1, workers=1, nan_skips=0)
    assert train(longer, folder, progress=False).name == "step-0000009"
    assert json.loads((folder / "run.json").read_text())["recipe"]["steps"] == 9
    assert len(list(folder.glob("step-*"))) == 1


def test_settings_are_described_by_their_values():
    assert described(partial(Colours, unsound=(1, 2))) == {"kind": "Colours", "unsound": [1, 2]}
    assert described(Colours()) == {
        "kind": "Colours",
        "unsound": [0, 0],
        "unreadable": [0, 0],
        "pixels": False,
        "deadly": None,
    }
    assert described({"a": (Path("b"), float("inf"), None, True)}) == {"a": ["b", "inf", None, True]}
    assert described(train) == "train"
