"""Files and folders that appear finished or not at all.

Everything is written under a temporary name beside the target, synced to the disk and then renamed: a full
disk, an exception or Ctrl-C leaves neither half a file nor the temporary one.
"""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it becomes `path`, otherwise it is removed.

    The body must create the temporary file. Raises ValueError as `check_file` does, also when the target
    appeared while the body ran; OSError, saying so, when the disk is full.
    """
    target = check_file(path, overwrite=overwrite)
    temporary = _beside(target, "part")
    try:
        with _disk_full_explained(target):
            yield temporary
            _sync(temporary)
            _publish(temporary, target, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False, only: str = "*") -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; on success it becomes `path`, otherwise it is removed.

    `only` is the pattern that each name in a replaced folder must match, see `check_folder`. Raises like
    `atomic_file`. An old folder is moved aside before the new one takes its name, and back on failure.
    """
    target = check_folder(path, overwrite=overwrite, only=only)
    temporary, old = _beside(target, "part"), _beside(target, "old")
    try:
        with _disk_full_explained(target):
            temporary.mkdir()
            yield temporary
            for file in [*temporary.rglob("*"), temporary]:
                _sync(file)
            check_folder(target, overwrite=overwrite, only=only)
            if target.exists():
                target.rename(old)
            temporary.rename(target)
            _sync(target.parent)  # the new name, too, outlives a power cut
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return `path` as a Path after checking that a file can be written there; touches nothing.

    Raises ValueError when the parent folder does not exist or cannot be written, when the name is
    impossible, when something other than a file is in the way, and when a file exists without `overwrite`.
    """
    target = _check_name(path)
    if target.is_dir():
        raise ValueError(f"cannot write the file {target}: a folder has that name; choose another name")
    if os.path.lexists(target):
        if not (target.is_file() or target.is_symlink()):
            raise ValueError(f"cannot write {target}: it is a device or pipe, not a file; choose another name")
        if not overwrite:
            raise ValueError(_exists(target))
    return target


def check_folder(path: str | os.PathLike[str], *, overwrite: bool = False, only: str = "*") -> Path:
    """Return `path` as a Path after checking that a folder can be written there; touches nothing.

    An empty folder may always be replaced; one with files only with `overwrite`, and only while every name
    in it matches the pattern `only`, so that a mistyped name cannot delete a home folder.
    Raises ValueError otherwise, and for the reasons of `check_file`.
    """
    target = _check_name(path)
    if not os.path.lexists(target):
        return target
    if target.is_symlink() or not target.is_dir():
        raise ValueError(f"cannot write the folder {target}: a file or link has that name; choose another")
    names = sorted(os.listdir(target))
    if names and not overwrite:
        raise ValueError(_exists(target))
    foreign = [name for name in names if not fnmatch(name, only)]
    if foreign:
        raise ValueError(
            f"cannot replace the folder {target}: it holds {foreign[0]}, and only a folder of nothing but "
            f"{only} is replaced; choose another name"
        )
    return target


def _check_name(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.name in ("", ".."):
        raise ValueError(f"cannot write {os.fspath(path)!r}: it names no file; give one, such as out.mp4")
    parent = target.parent
    try:
        if not parent.is_dir():
            raise ValueError(
                f"cannot write {target}: the folder {parent} does not exist; create it (mkdir -p {parent}) "
                "or choose another"
            )
        os.lstat(target)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ValueError(f"cannot write {target}: {error.strerror}; choose another name") from error
    try:
        # Making a nameless file is the only sure test: permission bits say nothing about root, ACLs or
        # read-only file systems.
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write {target}: no file can be made in {parent} ({error.strerror}); choose a folder "
            "that you may write in"
        ) from error
    return target


def _exists(target: Path) -> str:
    return (
        f"{target} exists and a finished result is never overwritten unasked; choose another name, or allow "
        "it with --force (overwrite=True in Python)"
    )


def _beside(target: Path, ending: str) -> Path:
    return target.parent / f".pixeldance-{uuid.uuid4().hex[:12]}.{ending}"


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike a rename it fails, atomically, where something exists
    except FileExistsError as error:
        raise ValueError(_exists(target)) from error
    except OSError:  # a file system without hard links
        check_file(target)
        os.replace(temporary, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_full_explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise OSError(
            error.errno,
            f"{target} could not be written: {error.strerror} (the disk or a quota is full); free some space "
            "or choose another place; nothing half-written was left",
        ) from error
