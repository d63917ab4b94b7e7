"""What the README shows is what happens: its Python runs, its commands exist, its files are there."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    for block in blocks("python"):
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        video = names["video"]
        assert isinstance(video, list)
        assert len(video) == 16


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    from pixeldance import cli

    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith(".venv/bin/pixeldance")]
    assert len(commands) >= 3
    for command in commands:
        monkeypatch.setattr("sys.argv", ["pixeldance", *command[1:]])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0, (command, capfd.readouterr().err)


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert any(target.endswith(".png") for target in targets)
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_make_demo_is_the_readmes_clip():
    makefile = (ROOT / "Makefile").read_text()
    prompt = re.search(r"^PROMPT \?= (.*)$", makefile, re.MULTILINE)
    assert prompt is not None
    assert f'"{prompt[1]}"' in README
