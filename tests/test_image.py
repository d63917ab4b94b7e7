import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pixeldance.image import colour_of, fit, read_image, write_image

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)
# Top left red, top right green, bottom blue: every rotation and mirroring shows.
FLAG = np.zeros((20, 32, 3), np.uint8)
FLAG[:10, :16], FLAG[:10, 16:], FLAG[10:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand; `rows` are the bytes before compression."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def test_the_same_picture_from_a_path_bytes_pillow_and_an_array(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(PHOTO), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), data, Image.fromarray(PHOTO), PHOTO):
        image = read_image(source)
        np.testing.assert_array_equal(image, PHOTO)
        assert image.flags.writeable
        assert not np.shares_memory(image, PHOTO)


def test_jpeg_and_webp() -> None:
    smooth = np.linspace(0, 255, 24 * 40 * 3).reshape(24, 40, 3).astype(np.uint8)
    for kind in ("JPEG", "WEBP"):
        image = read_image(encoded(Image.fromarray(smooth), kind, quality=95))
        assert np.abs(image.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_applied(orientation: int, kind: str) -> None:
    undo = {
        1: FLAG,
        2: FLAG[:, ::-1],
        3: FLAG[::-1, ::-1],
        4: FLAG[::-1],
        5: FLAG.transpose(1, 0, 2),
        6: np.rot90(FLAG),
        7: FLAG[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(FLAG, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation]))
    image = read_image(encoded(stored, kind, exif=exif, quality=95))
    assert image.shape == FLAG.shape
    assert np.abs(image.astype(int) - FLAG).mean() < 12


def test_alpha_is_composited_on_the_stated_colour() -> None:
    half = Image.fromarray(np.full((2, 2, 4), (200, 0, 0, 128), np.uint8))
    clear = Image.fromarray(np.full((2, 2, 4), (9, 9, 9, 0), np.uint8))
    for kind in ("PNG", "WEBP"):
        assert read_image(encoded(clear, kind, lossless=True)).min() == 255
        image = read_image(encoded(half, kind, lossless=True), background=(0, 0, 255))
        np.testing.assert_allclose(image[0, 0], (100, 0, 127), atol=1)


def test_transparency_without_an_alpha_channel() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    rgb = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))
    gray = Image.fromarray(np.array([[7, 90]], np.uint8))
    assert read_image(encoded(palette, "PNG", transparency=1)).tolist() == [[[255, 0, 0], [255] * 3]]
    assert read_image(encoded(rgb, "PNG", transparency=(0, 255, 0))).tolist() == [[[255, 0, 0], [255] * 3]]
    assert read_image(encoded(gray, "PNG", transparency=90)).tolist() == [[[7] * 3, [255] * 3]]
    assert read_image(encoded(gray.convert("LA"), "PNG")).tolist() == [[[7] * 3, [90] * 3]]
    assert read_image(encoded(gray.convert("1"), "PNG")).shape == (1, 2, 3)


def test_cmyk() -> None:
    cmyk = Image.fromarray(FLAG).convert("CMYK")
    assert np.abs(read_image(encoded(cmyk, "JPEG", quality=95)).astype(int) - FLAG).mean() < 12


def test_sixteen_bits_become_eight() -> None:
    levels = np.array([0, 128, 129, 32768, 65535], ">u2")
    gray = png(5, 1, 16, 0, b"\0" + levels.tobytes())
    assert read_image(gray)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    keyed = png(5, 1, 16, 0, b"\0" + levels.tobytes(), chunk(b"tRNS", b"\0\0"))
    assert read_image(keyed)[0, :, 0].tolist() == [255, 0, 1, 128, 255]
    colour = png(1, 1, 16, 2, b"\0" + np.array([0, 0x8000, 0xFFFF], ">u2").tobytes())
    assert read_image(colour).tolist() == [[[0, 128, 255]]]


def test_a_photograph_with_a_second_picture_behind_it_is_read() -> None:
    data = encoded(Image.fromarray(FLAG), "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)])
    assert np.abs(read_image(data).astype(int) - FLAG).mean() < 12


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animated_image_is_refused(kind: str) -> None:
    first, second = Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())
    data = encoded(first, kind, save_all=True, append_images=[second], duration=100)
    with pytest.raises(ValueError, match="animated; save the one frame"):
        read_image(data)
    with pytest.raises(ValueError, match="animated; save the one frame"):
        read_image(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("size", [(30000, 30000), (12000, 12000), (8193, 8192), (2**31 - 1, 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    bomb = png(*size, 8, 2, b"\0" * 100_000)
    assert len(bomb) < 1000
    tracemalloc.start()
    with pytest.raises(ValueError, match="smaller first"):
        read_image(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_the_pixel_cap_is_an_argument() -> None:
    data = encoded(Image.fromarray(PHOTO), "PNG")
    assert read_image(data, max_pixels=24 * 40).shape == (24, 40, 3)
    for source in (data, Image.fromarray(PHOTO), PHOTO):
        with pytest.raises(ValueError, match="40 x 24 pixels, and more than 959"):
            read_image(source, max_pixels=24 * 40 - 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"hello, I am no picture\n", "a damaged or unknown file"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "an SVG drawing"),
        (b'<?xml version="1.0"?><svg></svg>', "an SVG or other XML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an EPS"),
        (encoded(Image.fromarray(PHOTO), "GIF"), "a GIF"),
        (encoded(Image.fromarray(PHOTO), "BMP"), "a BMP"),
        (encoded(Image.fromarray(PHOTO), "TIFF"), "a TIFF"),
        (encoded(Image.fromarray(PHOTO), "AVIF"), "AVIF"),
        (b"\x89PNG\r\n\x1a\n" + b"garbage" * 9, "a damaged"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    for source in (data, tmp_path / "a.png"):
        with pytest.raises(ValueError, match=f"{message}.*want PNG or JPEG or WEBP"):
            read_image(source)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    data = encoded(Image.fromarray(PHOTO), kind)
    with pytest.raises(ValueError, match=r"export it again|damaged"):
        read_image(data[: int(share * len(data))])


@given(st.binary(max_size=200), st.integers(0, 2000), st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]))
def test_hostile_bytes_give_a_picture_or_a_value_error(noise: bytes, at: int, kind: str) -> None:
    data = encoded(Image.fromarray(PHOTO[:8, :8]), kind)
    at %= len(data)
    try:
        image = read_image(data[:at] + noise + data[at + len(noise) :], max_pixels=10**6)
    except ValueError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


def test_missing_and_strange_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for source, message in (
        (tmp_path / "none.png", "there is no such file; give the path"),
        ("a\0b", "no such file"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe.png", "not a file"),
        (PHOTO / np.float32(255), r"float32 \(24, 40, 3\).*astype"),
        (PHOTO[..., :2], r"uint8 \(24, 40, 2\)"),
        (PHOTO[:0], "want uint8"),
        (Image.new("F", (2, 2)), "mode F"),
    ):
        with pytest.raises(ValueError, match=message):
            read_image(source)


def test_arrays_of_gray_and_alpha() -> None:
    assert (read_image(PHOTO[..., 0]) == PHOTO[..., :1]).all()
    clear = np.concatenate([PHOTO, np.zeros_like(PHOTO[..., :1])], axis=-1)
    assert read_image(clear, background=(1, 2, 3))[5, 5].tolist() == [1, 2, 3]


def test_truncation_is_not_tolerated_by_default() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def disc(h: int, w: int, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:h, :w] + 0.5
    inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    return np.where(inside[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)


def extent(image: np.ndarray) -> tuple[float, float, float, float]:
    """Centre and width of what is bright: (y, x, height, width)."""
    bright = image[..., 0] > 127
    ys, xs = np.nonzero(bright.any(1))[0], np.nonzero(bright.any(0))[0]
    return (ys[0] + ys[-1] + 1) / 2, (xs[0] + xs[-1] + 1) / 2, np.ptp(ys) + 1.0, np.ptp(xs) + 1.0


@pytest.mark.parametrize("rule", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (40, 45), (301, 299)])
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (127, 33)])
def test_fit_centres_and_never_stretches(rule: str, shape: tuple[int, int], size: tuple[int, int]) -> None:
    h, w = shape
    choose = min if rule == "pad" else max
    scale = choose(size[0] / h, size[1] / w)
    radius = 0.4 * min(h, w, size[0] / scale, size[1] / scale)
    image = fit(disc(h, w, h / 2, w / 2, radius), size=size, rule=rule)
    assert image.shape == (*size, 3)
    y, x, height, width = extent(image)
    assert (y, x) == pytest.approx((size[0] / 2, size[1] / 2), abs=1)
    assert (height, width) == pytest.approx((2 * radius * scale,) * 2, abs=1 + scale)


def test_a_colour_beyond_white_is_none() -> None:
    assert colour_of("rgb(255,0,7)") == (255, 0, 7)
    for text in ("rgb(999,0,0)", "rgb(0%,200%,0%)", "#ff880080"):
        with pytest.raises(ValueError, match="wanted a colour"):
            colour_of(text)


def test_fit_pads_with_the_border_colour_or_the_stated_one() -> None:
    image = np.full((10, 20, 3), 77, np.uint8)
    image[4:6, 8:12] = 200
    assert (fit(image, size=(20, 20))[[0, 4, 15, 19]] == 77).all()
    assert (fit(image, size=(20, 20), colour=(1, 2, 3))[[0, 4, 15, 19]] == (1, 2, 3)).all()
    assert fit(image[:1, :1], size=(3, 5)).tolist() == np.full((3, 5, 3), 77).tolist()
    assert fit(image[:1], size=(64, 64)).shape == (64, 64, 3)


def test_fit_leaves_a_picture_of_that_size_alone() -> None:
    for rule in ("pad", "crop"):
        np.testing.assert_array_equal(fit(PHOTO, size=(24, 40), rule=rule), PHOTO)


def test_fit_refuses() -> None:
    with pytest.raises(ValueError, match=r"'pad'.*'crop'"):
        fit(PHOTO, size=(8, 8), rule="stretch")
    for size in ((0, 8), (8, -1), (10**6, 10**6)):
        with pytest.raises(ValueError, match="height, width"):
            fit(PHOTO, size=size)


@pytest.mark.parametrize("ending", [".png", ".webp", ".PNG"])
def test_write_image_is_exact(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path, PHOTO)
    np.testing.assert_array_equal(read_image(path), PHOTO)
    with pytest.raises(ValueError, match="--force"):
        write_image(path, PHOTO[::-1])
    write_image(path, PHOTO[::-1], overwrite=True)
    np.testing.assert_array_equal(read_image(path), PHOTO[::-1])
    assert os.listdir(tmp_path) == [path.name]


def test_write_image_as_jpeg(tmp_path: Path) -> None:
    write_image(str(tmp_path / "a.jpg"), FLAG)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - FLAG).mean() < 2


def test_write_image_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.tiff', know \.png"):
        write_image(tmp_path / "a.tiff", PHOTO)
    with pytest.raises(ValueError, match="float64"):
        write_image(tmp_path / "a.png", PHOTO / 255)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy\n"
        "from pixeldance.image import write_image\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "frame = numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype='uint8')\n"
        "for ending in ('.png', '.jpg', '.webp'):\n"
        "    try: write_image(sys.argv[1] + ending, frame)\n"
        "    except OSError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.count("free some space") == 3
    assert os.listdir(tmp_path) == []


def test_pixels_that_are_not_square_become_so() -> None:
    image = np.zeros((40, 20, 3), np.uint8)
    image[10:30, 5:15] = 255  # a square, seen through pixels twice as wide as high
    for rule in ("crop", "pad"):
        white = fit(image, size=(80, 80), rule=rule, pixel_aspect=2.0)[..., 0] > 127
        assert abs(int(white.any(axis=0).sum()) - 40) <= 1
        assert abs(int(white.any(axis=1).sum()) - 40) <= 1
