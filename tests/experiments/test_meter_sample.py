"""The sample that the meter is measured on: each clip is the same whatever else is made, and a run goes on."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return import_module("meter")


def test_a_larger_sample_begins_with_a_smaller_one(measuring: ModuleType) -> None:
    small, large = list(measuring.kinds(1)), list(measuring.kinds(3))
    assert large[: len(small)] == small
    assert len(set(large)) == len(large) == 3 * len(small) == 6 * (len(measuring.FAULTS) + 4)


def test_a_clip_is_known_by_its_number(measuring: ModuleType) -> None:
    one, again = (measuring.one_clip({}, 1, 7, "whiteout", 3) for _ in range(2))
    np.testing.assert_array_equal(one.video, again.video)
    other = measuring.one_clip({}, 0, 7, "whiteout", 3)  # of the half that limits are chosen on
    assert other.video.shape != one.video.shape or (other.video != one.video).any()
    row = measuring.row_of(one, 3)
    assert (row["fault"], row["number"], row["source"]) == ("whiteout", 3, "toybox")
    assert measuring.tells(row, "whiteout")
    assert not measuring.is_clean(row, "whiteout")


def test_a_run_goes_on_where_it_was_ended(
    measuring: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "RUNS", tmp_path)
    monkeypatch.setattr(measuring, "footage", dict)  # odd numbers are of the toybox, and need none
    monkeypatch.setattr(measuring, "kinds", lambda each: [("first", 1), ("landing", 1), (None, 3)][:each])
    whole = measuring.rows(1, 3, 7)
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:40])  # ended within a line
    more = measuring.rows(1, 3, 7)
    assert [row["readings"] for row in more] == [row["readings"] for row in whole]
    assert more[0] == whole[0], "what was whole was read again"
    recall = measuring.figures(more, "first")["recall"]
    assert (recall["share"], recall["of"]) == (1, 1)
    assert recall["interval"] == pytest.approx((0.2065, 1), abs=1e-4)
