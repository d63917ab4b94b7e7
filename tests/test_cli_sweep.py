"""`pixeldance sweep`: one request over tau, each row what `generate` makes with that tau."""

from pathlib import Path

import numpy as np
import pytest
from command import TEXT, Run
from PIL import Image

from pixeldance.image import read_image
from pixeldance.video import read_video


def rows(sheet: Path, frames: int) -> list[np.ndarray]:
    """The clips of a sheet of 32 x 32 frames that stand 4 times enlarged in a line each, behind two given ones."""
    picture = read_image(sheet)
    found = []
    edge = (212, 212, 206)
    # The frames of a row have a thin edge; above each of them is a line of that colour over its whole width.
    lines = np.flatnonzero((picture == edge).all(-1).sum(axis=1) > 128 * frames)
    for top, below in zip(lines[::2], lines[1::2], strict=True):
        assert below - top == 129
        columns = np.flatnonzero((picture[top] == edge).all(-1))
        starts = columns[np.flatnonzero(np.diff(columns, prepend=-2) > 1)] + 1
        block = [picture[top + 1 : below : 4, start : start + 128 : 4] for start in starts]
        found.append(np.stack(block))
    return found


def test_rows_are_what_generate_makes(here: Path, tiny_model: Path, run: Run):
    ask = [TEXT, "--first", "a.png", "--last", "b.png", "--model", tiny_model, "--seed", 7, "--steps", 3]
    code, out, err = run("sweep", *ask, "--taus", "0,0.5,1", "-o", "sheet.png")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0].removeprefix(f"{TEXT} (seed 7). ") for line in lines] == [
        *("tau 0", "tau 0.5", "tau 1", "sheet.png")
    ]
    assert "dB, landing " in lines[1]
    made = rows(Path("sheet.png"), 4)
    assert len(made) == 3
    for row, tau in zip(made, (0, 0.5, 1), strict=True):
        assert run("generate", *ask, "--tau", tau, "-o", "out.mkv", "--force")[0] == 0
        assert (row == read_video("out.mkv")[0]).all()
    assert not (made[0] == made[2]).all()


def test_late_rows_are_others(here: Path, tiny_model: Path, run: Run):
    ask = ["sweep", TEXT, "--last", "b.png", "--model", tiny_model, "--seed", 7, "--taus", "0,0.5,1", "--late"]
    code, out, err = run(*ask, "-o", "sheet.png")
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()[3:6]] == ["last tau 0", "last tau 0.5", "last tau 1"]
    early, late = (lambda made: (made[:3], made[3:]))(rows(Path("sheet.png"), 4))
    assert [bool((one == other).all()) for one, other in zip(early, late, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--taus", "0,2"], "got '2'"),
        (["--taus", ""], "got ''"),
        (["--taus", ",".join(["0"] * 102)], "got 102 values of tau"),
        (["-o", "none/sheet.png"], "the folder none does not exist"),
        (["-o", "sheet.bmp"], "got the ending '.bmp'"),
        (["--last", "none.png"], "there is no such file"),
        (["--frames", "1"], "a video of one frame"),
    ],
)
def test_bad_input_ends_in_a_message(here: Path, tiny_model: Path, run: Run, more: list[str], says: str):
    before = set(here.iterdir())
    ask = ["sweep", TEXT, "--last", "b.png", "--model", tiny_model, "-o", "sheet.png", "--steps", 1]
    code, _, err = run(*ask, *more)
    assert code == 2
    assert says in " ".join(err.split())
    assert set(here.iterdir()) == before


def test_a_sheet_is_not_overwritten_unasked(here: Path, tiny_model: Path, run: Run):
    Image.new("RGB", (4, 4)).save("sheet.png")
    ask = ["sweep", TEXT, "--last", "b.png", "--model", tiny_model, "-o", "sheet.png", "--steps", 1, "--taus", "1"]
    assert run(*ask)[0] == 2
    assert run(*ask, "--force")[0] == 0
