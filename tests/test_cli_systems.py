"""The published systems at the command line: listed, trained at toy size, rendered with what that left."""

from pathlib import Path

from command import Run

from pixeldance.systems import PUBLISHED

ROOT = Path(__file__).parents[1]


def test_they_are_listed_with_their_evidence(run: Run) -> None:
    code, out, err = run("systems")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(PUBLISHED)
    code, out, _ = run("systems", "--markdown")
    assert (code, out) == (0, (ROOT / "docs" / "systems.md").read_text())


def test_one_is_trained_and_renders(here: Path, run: Run) -> None:
    ask = ("generate", "a red square moves left", "--system", "videofusion", "--steps", 2, "--seed", 3, "-o", "a.mkv")
    code, _, err = run(*ask)
    assert code == 2
    assert "got --system videofusion and no weights in runs/videofusion; make some first: pixeldance train" in err
    assert run("train", "--system", "videofusion", "--steps", 1)[0] == 0
    assert (here / "runs/videofusion/step-0000001/config.json").is_file()
    code, out, err = run(*ask)
    assert (code, err) == (0, "")
    assert "8 frames of 32x32, seed 3" in out


def test_what_there_is_not_is_refused(run: Run) -> None:
    for verb in (("train",), ("generate", "a red square", "-o", "a.mkv")):
        code, _, err = run(*verb, "--system", "sora")
        assert code == 2
        assert "got --system 'sora'; wanted one of pixeldance, latent-video" in err
    for wrong in (("train",), ("train", "a.py", "--system", "vdm")):
        assert "wanted one of them" in run(*wrong)[2]
    assert "give one of them" in run("generate", "a", "-o", "a.mkv", "--system", "vdm", "--model", "x")[2]
