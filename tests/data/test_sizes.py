"""How large each clip of a set is: found without decoding it, kept, and found again where the list is the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numbered import numbered, turn, write
from PIL import Image

from pixeldance.codec import PatchConfig, build_codec
from pixeldance.data import sizes
from pixeldance.data.datasets import open_source
from pixeldance.data.latents import Encoding, Latents, encode_source, fingerprint
from pixeldance.data.shards import write_shard
from pixeldance.data.source import Sized, Source
from pixeldance.data.toybox.source import Toybox
from pixeldance.data.videos import Joined, Videos

SIZES = ((32, 32), (24, 40), (40, 24))


class Few(Toybox):
    """A toybox with an end."""

    def __len__(self) -> int:
        return 3


def opened(spec: str, frames: int = 4) -> Source:
    return open_source(spec, frames=frames, fps=4, size=SIZES)


def survey(source: Source, workers: int = 0) -> list[list[int]]:
    assert isinstance(source, Sized)
    return sizes.survey(source, range(len(source)), workers).tolist()


def test_sizes_are_those_that_a_viewer_sees(films: Path, tmp_path: Path) -> None:
    for name in ("bikes", "carphone_pristine"):
        (tmp_path / f"{name}.mp4").symlink_to(films / f"{name}.mp4")
    turn(write(tmp_path / "turned.mp4", numbered(8, 48, 80)), (0, 1, -1, 0))
    (tmp_path / "wound.mp4").write_bytes(b"no video")
    source = opened(f"folder:{tmp_path}?text=")
    assert survey(source) == [[272, 640], [144, 193], [80, 48], [0, 0]]
    assert survey(source, workers=2) == survey(source)
    # What is found from headers is where the clip then is brought to.
    wanted = [(24, 40), (24, 40), (40, 24)]
    rng = np.random.default_rng(0)
    assert [source.read(index, rng).video.shape[1:3] for index in range(2)] == wanted[:2]
    assert opened(f"folder:{tmp_path}?text=", frames=2).read(2, rng).video.shape[1:3] == wanted[2]


def test_pictures_are_measured_by_their_headers(tmp_path: Path) -> None:
    picture, turned = Image.new("RGB", (40, 30)), Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.jpg", exif=turned)
    (tmp_path / "c.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:8])
    source = opened(f"images:{tmp_path}?text=", frames=1)
    assert survey(source) == [[30, 40], [40, 30], [0, 0]]
    assert source.read(1, np.random.default_rng(0)).video.shape[1:3] == (40, 24)


def test_shards_state_the_sizes_of_pictures_and_latents_their_own(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(8, 48, 80)).read_bytes()
    stated = b'{"height": 30, "width": 70}'
    samples = [
        ("0", {".jpg": b"not opened", ".json": stated}),
        ("1", {".mp4": video, ".txt": b"", ".json": stated}),  # of a video it may be that of the film it was cut from
        ("2", {".jpg": b"not a picture", ".json": b'{"width": null}', ".txt": b""}),
    ]
    write_shard(tmp_path / "0.tar", samples)
    assert survey(opened(f"webdataset:{tmp_path}/0.tar")) == [[30, 70], [48, 80], [0, 0]]
    config = PatchConfig(patch=4)
    codec, source = build_codec(config), opened(f"folder:{tmp_path}?text=")
    encoding = Encoding(
        spec=("a",), clips=1, frames=4, fps=4.0, sizes=SIZES, codec=fingerprint(config, codec), shard_size=1
    )
    with torch.inference_mode():
        encode_source(source, codec, tmp_path / "latents", encoding)
    latents = Latents.opened(tmp_path / "latents")
    assert survey(latents) == [[24, 40]]
    assert survey(open_source(f"folder:{tmp_path}?text=", f"latents:{tmp_path}/latents", frames=4, size=SIZES)) == [
        [48, 80],
        [24, 40],
    ]


def test_they_are_kept_for_the_same_list_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    write(data / "a.mp4", numbered(4))
    source = opened(f"folder:{data}?text=")
    assert isinstance(source, Sized)
    assert sizes.kept(source) is None
    found = sizes.survey(source, range(1))
    assert sizes.keep(source, found) == next(data.glob(sizes.PATTERN))
    again = opened(f"folder:{data}?text=")
    assert isinstance(again, Sized)
    np.testing.assert_array_equal(sizes.kept(again), found)
    next(data.glob(sizes.PATTERN)).write_bytes(b"torn")
    assert sizes.kept(again) is None
    sizes.keep(source, found)
    write(data / "b.mp4", numbered(4))
    more = opened(f"folder:{data}?text=")
    assert isinstance(more, Sized)
    assert sizes.kept(more) is None
    assert isinstance(source, Videos)
    source.home = data / "a.mp4"  # in which nothing can be written
    kept = sizes.keep(source, found)
    assert kept is not None
    assert kept.is_relative_to(tmp_path / "cache")
    np.testing.assert_array_equal(sizes.kept(source), found)


def test_sources_are_joined_in_the_same_sizes_only(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", numbered(4))
    one = opened(f"folder:{tmp_path}?text=")
    with pytest.raises(ValueError, match="wanted the same for all"):
        Joined([one, open_source(f"folder:{tmp_path}?text=", size=(8, 8))])
    assert Joined([one, Few()]).sizes == (), "the toybox does not say"
