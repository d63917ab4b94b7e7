"""`pixeldance generate --jobs`: rows are what generate makes, a list goes on where it was left, bad ones say why."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from command import TEXT, Run, listing

ROWS: list[dict[str, Any]] = [
    {"text": TEXT, "out": "one.mkv", "steps": 2},
    {"text": TEXT, "out": "two.mkv", "first": "a.png", "last": "b.png", "tau": 0.5, "steps": 2, "seed": 2**31},
    {"text": TEXT, "out": "three.mkv", "steps": 2, "fps": 5.0, "guidance": 1.0, "size": "32x32"},
]


def write(rows: list[Any]) -> str:
    Path("rows.jsonl").write_text("\n\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows))
    return "rows.jsonl"


def test_rows_are_what_generate_makes_and_are_made_once(here: Path, tiny_model: Path, run: Run) -> None:
    model = ["--model", tiny_model]
    assert run("generate", "--jobs", write(ROWS), *model, "--seed", 5)[::2] == (0, "")
    options = ["--first", "a.png", "--last", "b.png", "--tau", 0.5, "--steps", 2]
    assert run("generate", TEXT, *options, "--seed", 2**31, *model, "-o", "alone.mkv")[0] == 0
    assert Path("two.mkv").read_bytes() == Path("alone.mkv").read_bytes()
    assert [json.loads(Path(f"{name}.json").read_text())["request"]["seed"] for name in ("one", "three")] == [5, 7]
    before = Path("one.mkv").stat().st_mtime_ns
    Path("three.mkv").unlink()
    code, out, _ = run("generate", "--jobs", write(ROWS), *model, "--seed", 5, "--force")
    assert (code, out.count("is there")) == (0, 0)
    assert Path("one.mkv").stat().st_mtime_ns > before, "--force makes all again"
    Path("three.mkv").unlink()
    Path("three.json").unlink()
    made = {name: Path(name).stat().st_mtime_ns for name in ("one.mkv", "two.mkv")}
    code, out, _ = run("generate", "--jobs", write(ROWS), *model, "--seed", 5)
    assert (code, out.count("is there, and kept"), Path("three.mkv").exists()) == (0, 2, True)
    assert {name: Path(name).stat().st_mtime_ns for name in made} == made
    code, _, err = run("generate", "--jobs", write([ROWS[0] | {"steps": 3}]), *model, "--seed", 5)
    assert (code, "rows.jsonl, line 1: " in err, "one." in err) == (2, True, True), "another clip is not written over"


def killed_before(name: int, *arguments: object) -> bool:
    """Whether a process that is killed where the file of this number gets its name, counted from 1, came to that."""
    child = os.fork()
    if child == 0:  # nothing but _exit may leave this block: the rest of pytest is not ours to run
        from pixeldance.cli import app

        names = iter(range(name - 1))

        def kill(event: str, given: tuple[Any, ...]) -> None:
            if event in ("os.link", "os.rename") and ".pixeldance-" in str(given[0]) and next(names, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(kill)
            app([str(each) for each in arguments], prog_name="pixeldance")
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def told(folder: Path) -> dict[str, Any]:
    """The files in a folder: what receipts say but for the seconds, and the bytes of the others."""
    files = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    return {
        name: {**json.loads(data), "seconds": 0} if name.endswith(".json") else data for name, data in files.items()
    }


def test_a_list_killed_between_any_two_files_goes_on_unasked(here: Path, tiny_model: Path, run: Run) -> None:
    def command(folder: str) -> list[object]:
        rows = [{"text": TEXT, "out": f"{folder}/{name}", "steps": 1, "seed": 3} for name in ("a.mkv", "b.mp4")]
        return ["generate", "--jobs", write(rows), "--model", tiny_model, "--sheet"]

    (here / "whole").mkdir()
    assert run(*command("whole"))[::2] == (0, "")
    whole = told(here / "whole")
    assert len(whole) == 6
    for names, remade in ((1, {"a.json"}), (2, {"a.json"}), (4, {"b.json"})):
        folder = here / f"killed-{names}"
        folder.mkdir()
        assert killed_before(names + 1, *command(folder.name))
        left = {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*")}
        assert len(left) == names
        assert run(*command(folder.name))[::2] == (0, "")
        assert told(folder) == whole
        assert {path.name for path, then in left.items() if path.stat().st_mtime_ns != then} == remade


def test_only_what_a_kill_left_is_written_over(here: Path, tiny_model: Path, run: Run) -> None:
    def command(text: str, *more: object) -> list[object]:
        return ["generate", "--jobs", write([{"text": text, "out": "a/", "steps": 1}]), "--model", tiny_model, *more]

    assert killed_before(2, *command(TEXT))
    assert json.loads(Path("a.json").read_text())["clip"] == "a/"
    code, _, err = run(*command("a blue square moves left"))
    assert (code, "a.json exists" in err) == (2, True), "the receipt of another clip"
    (here / "a").mkdir()  # an empty folder is no clip
    assert run(*command(TEXT))[0] == 0
    Path("a.json").unlink()
    assert run(*command(TEXT))[0] == 2, "a clip that nothing is told of"
    assert run(*command(TEXT, "--force"))[0] == 0
    before = listing(here / "a")
    assert killed_before(2, *command("a blue square moves left", "--force"))
    assert listing(here / "a") != before
    assert not Path("a.json").exists(), "a clip lies beside the receipt of another one"


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (["{"], [], "rows.jsonl, line 1: Invalid JSON"),
        ([ROWS[0], {"text": TEXT}], [], "rows.jsonl, line 3: out: Field required"),
        ([ROWS[0] | {"tua": 1.0}], [], "line 1: tua: Extra inputs"),
        ([ROWS[0] | {"steps": 0}], [], "line 1: steps: Input should be greater"),
        ([ROWS[0] | {"last": "gone.png"}], [], "line 1: cannot read the image gone.png"),
        ([ROWS[0] | {"size": "48x48"}], [], "line 1: got a size of 48x48"),
        ([ROWS[0] | {"out": "one.txt"}], [], "line 1: "),
        ([ROWS[0] | {"tau": 0.5, "tau_steps": 1}], [], "give one of them"),
        ([ROWS[0], ROWS[1] | {"out": "./one.mp4"}], [], "lines 1 and 3 would both write one.json"),
        ([], [], "got 0 rows"),
        (ROWS, [TEXT], f"got '{TEXT}' with --jobs"),
        (ROWS, ["--count", 2], "got '2' with --jobs"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_rows_that_cannot_be_made_say_why(
    here: Path, tiny_model: Path, run: Run, rows: list[Any], more: list[Any], message: str
) -> None:
    code, _, err = run("generate", *more, "--jobs", write(rows), "--model", tiny_model)
    assert (code, message in err) == (2, True), err
    assert not list(here.glob("*.mkv"))


def test_generate_without_a_text_or_a_place_says_what_is_missing(run: Run) -> None:
    assert run("generate")[0] == 2
    code, _, err = run("generate", "-o", "a.mkv")
    assert (code, "got no TEXT" in err) == (2, True)
    code, _, err = run("generate", TEXT)
    assert (code, "got no --out" in err) == (2, True)
