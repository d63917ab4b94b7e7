import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, listing, program
from numbered import numbered, write
from tiny import TINY, random_parts

from pixeldance import checkpoint
from pixeldance.codec import PatchConfig, PCAConfig, build_codec, fit_pca
from pixeldance.data.clip import Clip, Example
from pixeldance.data.datasets import open_source
from pixeldance.data.encode import encode
from pixeldance.data.latents import Encoding, Latents, check_codec, encode_source, fingerprint, quarantined
from pixeldance.data.source import Unreadable

CODEC = build_codec(TINY.codec)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven videos, one of which is none."""
    for number in range(7):
        write(tmp_path / "set" / f"{number}.mp4", numbered(12, 32, 32, first=12 * number), rate=8)
        (tmp_path / "set" / f"{number}.txt").write_text(f"text {number}")
    (tmp_path / "set" / "4.mp4").write_bytes(b"")
    return tmp_path


def encoding(folder: Path, **changes: object) -> Encoding:
    settings = Encoding(
        spec=(f"folder:{folder}/set",),
        clips=7,
        frames=4,
        fps=4.0,
        sizes=((32, 32),),
        codec=fingerprint(TINY.codec, CODEC),
        shard_size=3,
    )
    return replace(settings, **changes)


def encoded(folder: Path, out: str = "out", workers: int = 0, **changes: object) -> Path:
    source = open_source(f"folder:{folder}/set", frames=4, fps=4, size=(32, 32))
    encode_source(source, CODEC, folder / out, encoding(folder, **changes), workers=workers)
    return folder / out


def test_latents_come_back_as_examples(folder: Path) -> None:
    out = encoded(folder)
    source, pixels = open_source(f"latents:{out}"), open_source(f"folder:{folder}/set", frames=4, size=(32, 32))
    assert len(source) == 6  # without the empty file
    for place, index in enumerate((0, 1, 2, 3, 5, 6)):
        example = source.read(place, np.random.default_rng(9))
        (wanted,) = encode(CODEC, [pixels.read(index, np.random.default_rng((0, index)))])
        assert isinstance(example, Example)
        assert (example.text, example.fps, example.size) == (f"text {index}", 4.0, (32, 32))
        assert example.latents.dtype == torch.float32
        torch.testing.assert_close(example.latents, wanted.latents, atol=1e-3, rtol=1e-3)
    assert source.name(4) == f"{out}/00001.tar/000000005"
    (refused,) = quarantined(out)
    assert (refused["index"], Path(refused["name"]).name) == (4, "4.mp4")
    assert refused["reason"] == "empty: the file has no bytes"


def test_objects_are_kept(tmp_path: Path) -> None:
    class One:
        def __len__(self) -> int:
            return 1

        def name(self, index: int) -> str:
            return "one"

        def read(self, index: int, rng: np.random.Generator) -> Clip:
            focus = np.zeros((2, 32, 32), np.bool_)
            focus[:, :8] = True
            return Clip(video=np.zeros((2, 32, 32, 3), np.uint8), text="one", fps=8.0, focus=focus)

    encode_source(One(), CODEC, tmp_path / "out", encoding(tmp_path, clips=1))
    focus = Latents.opened(tmp_path / "out").read(0, np.random.default_rng(0)).focus
    assert focus is not None
    assert (focus[:, :2] == 1).all()
    assert (focus[:, 2:] == 0).all()


def test_neither_workers_nor_interruptions_change_the_bytes(folder: Path) -> None:
    whole = listing(encoded(folder))
    parallel = listing(encoded(folder, "parallel", workers=2))
    broken = encoded(folder, "broken")
    (broken / "00001.tar").unlink()
    (broken / ".pixeldance-0123456789ab.part").write_bytes(b"left by a process that was killed")
    kept = (broken / "00000.tar").stat().st_mtime_ns
    again = listing(encoded(folder, "broken"))
    assert whole == parallel == again
    assert (broken / "00000.tar").stat().st_mtime_ns == kept


def test_only_a_finished_folder_of_the_same_kind_is_data(folder: Path) -> None:
    out = encoded(folder)
    assert len(open_source(f"latents:{out}", frames=4, fps=4, size=(32, 32))) == 6
    for asked, message in (({"frames": 8}, "frames 4, not 8"), ({"fps": 8.0}, "fps 4"), ({"size": (64, 64)}, "sizes")):
        with pytest.raises(ValueError, match=message):
            open_source(f"latents:{out}", **asked)
    with pytest.raises(ValueError, match=r"begun with other settings \(seed\)"):
        encoded(folder, seed=1)
    (out / "00001.tar").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of 3 shards, 00001\.tar first; .*goes on with it"):
        open_source(f"latents:{out}")


def test_a_shard_of_something_else_is_unreadable(folder: Path) -> None:
    from pixeldance.data.shards import write_shard

    out = encoded(folder)
    (out / "00002.tar").unlink()
    write_shard(out / "00002.tar", [("000000006", {".safetensors": b"no tensors", ".json": b'{"size": [1, 2]}'})])
    with pytest.raises(Unreadable, match="damaged: not the latents of a clip"):
        open_source(f"latents:{out}").read(5, np.random.default_rng(0))


def test_another_codec_is_refused(folder: Path) -> None:
    out = encoded(folder)
    both = open_source(f"latents:{out}", f"latents:{out}")
    other = PatchConfig(patch=8)
    check_codec(both, TINY.codec, CODEC)
    check_codec(both, replace(TINY.codec, frames_at_once=1), CODEC)
    check_codec(open_source(f"folder:{folder}/set"), other, build_codec(other))
    with pytest.raises(ValueError, match=r"were made by another codec .*encode again with this model"):
        check_codec(both, other, build_codec(other))


def test_the_fingerprint_is_that_of_the_weights_as_they_are_kept(tmp_path: Path) -> None:
    config = PCAConfig(patch=4, channels=48)
    codec = build_codec(config)
    fit_pca(codec.net, torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    parts = random_parts()
    parts.system, parts.codec = replace(TINY, codec=config), codec
    checkpoint.save(tmp_path / "half", parts, torch.float16)
    kept = checkpoint.load(tmp_path / "half")
    assert fingerprint(config, kept.codec) == fingerprint(config, codec)
    kept.codec.net.mean[0] += 1
    assert fingerprint(config, kept.codec) != fingerprint(config, codec)


def test_the_command(folder: Path, tiny_model: Path, run: Run) -> None:
    out = folder / "out"
    arguments = ("encode", folder / "set", "-o", out, "--model", tiny_model, "--shard-size", 3, "--fps", 4)
    code, text, errors = run(*arguments)
    assert (code, text) == (0, f"{out}: 6 clips encoded\n")
    assert "4.mp4: empty: the file has no bytes" in errors
    check_codec(open_source(f"latents:{out}", frames=4, size=(32, 32)), TINY.codec, CODEC)
    before = listing(out)
    assert run(*arguments)[0] == 0
    assert listing(out).items() >= before.items()
    code, _, errors = run(*arguments, "--seed", 1)
    assert (code, "begun with other settings (seed)" in errors) == (2, True)
    code, _, errors = run("encode", folder / "set", "-o", out, "--model", tiny_model, "--size", "30x32")
    assert (code, "the nearest is 32x32" in errors) == (2, True)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(folder: Path, tiny_model: Path) -> None:
    common = ("encode", folder / "set", "--model", tiny_model, "--shard-size", 1, "--fps", 4, "-o")
    assert program(*common, folder / "whole").wait() == 0
    rng, killed, broken = np.random.default_rng(0), 0, folder / "broken"
    while killed < 4:
        before = len(list(broken.glob("*.tar")))
        process = program(*common, broken)
        while process.poll() is None and len(list(broken.glob("*.tar"))) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))  # somewhere in the next shard
        assert process.poll() is None, "it ended before it could be killed"
        killed += 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert program(*common, folder / "broken").wait() == 0
    assert listing(folder / "broken") == listing(folder / "whole")
