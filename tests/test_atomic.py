import errno
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pixeldance.atomic import atomic_file, atomic_folder, check_file, check_folder


def test_a_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with atomic_file(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == tmp_path
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_fails_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    def fill_and_fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_text("old")
    with pytest.raises(error), atomic_file(tmp_path / "a", overwrite=True) as temporary:
        fill_and_fail(temporary)
    with pytest.raises(error), atomic_folder(tmp_path / "b", overwrite=True) as temporary:
        fill_and_fail(temporary / "y.png")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_text() == (tmp_path / "b" / "x.png").read_text() == "old"


def write_twice(make: Callable[..., AbstractContextManager[Path]], target: Path) -> None:
    """Two writers at the same target, of whom the second finishes first."""
    with make(target) as late, make(target) as early:
        for temporary in (late, early):
            (temporary / "x" if temporary.is_dir() else temporary).write_text("late" if temporary == late else "early")


def test_a_target_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    for make in (atomic_file, atomic_folder):
        with pytest.raises(ValueError, match="--force"):
            write_twice(make, tmp_path / make.__name__)
    assert (tmp_path / "atomic_file").read_text() == "early"
    assert (tmp_path / "atomic_folder" / "x").read_text() == "early"
    assert len(os.listdir(tmp_path)) == 2


def test_one_of_many_writers_wins(tmp_path: Path) -> None:
    won = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        try:
            with atomic_file(tmp_path / "a") as temporary:
                temporary.write_text(str(number))
                start.wait()
            won.append(number)
        except ValueError:
            pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "a").read_text()] == [str(n) for n in won]
    assert os.listdir(tmp_path) == ["a"]


def test_overwrite_replaces(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic_file(tmp_path / "a", overwrite=True) as temporary:
            temporary.write_text(text)
        with atomic_folder(tmp_path / "b", overwrite=True, only="*.png") as temporary:
            (temporary / f"{text}.png").touch()
    assert (tmp_path / "a").read_text() == "two"
    assert os.listdir(tmp_path / "b") == ["two.png"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "a") as temporary:
        temporary.touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_without_hard_links_a_rename_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ValueError, match="--force"):
        write_twice(atomic_file, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "early"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="free some space") as caught, atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    check_folder(tmp_path / "home")
    (tmp_path / "home" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="--force"):
        check_folder(tmp_path / "home", only="frame-*.png")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        check_folder(tmp_path / "home", only="frame-*.png", overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(ValueError, match="link"):
        check_folder(tmp_path / "link", overwrite=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/a.mp4", "mkdir -p"),
        ("file/a.mp4", "does not exist"),
        ("folder", "a folder has that name"),
        ("file", "--force"),
        ("dangling", "--force"),
        ("pipe", "device or pipe"),
        ("x" * 300, "too long"),
        ("a\0b", "null"),
        (".", "names no file"),
        ("folder/..", "names no file"),
    ],
)
def test_an_impossible_target_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ValueError, match=message):
        check_file(tmp_path / name if name != "." else ".")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    # In a process of its own, because the permissions of a folder do not bind root.
    code = (
        "import os, sys\n"
        "from pixeldance.atomic import check_file\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: check_file(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies in a folder that only its owner enters
        os.chmod(folder, 0o555)
        command = [sys.executable, "-c", code, f"{folder}/a.mp4"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "no file can be made in" in out
    assert "Permission denied" in out
