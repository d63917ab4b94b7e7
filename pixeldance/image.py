"""Images in and out: files, bytes, Pillow images and arrays become one thing, uint8 RGB of shape (h, w, 3).

Whatever cannot become that without a guess (animations, bombs, truncated files, other formats) is refused.
"""

import io
import os
import warnings
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageOps

from pixeldance.atomic import atomic_file

Frame = UInt8[np.ndarray, "h w 3"]
Colour = tuple[int, int, int]

MAX_PIXELS = 64 * 1024 * 1024
"""8192 x 8192: above any camera a first frame is likely to come from, 192 MiB once decoded."""

WHITE: Colour = (255, 255, 255)
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
MAGIC = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "an EPS file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG or other XML file"),
)

OpenFile = io.BytesIO | io.BufferedReader
ImageSource = str | bytes | os.PathLike[str] | Image.Image | np.ndarray


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, background: Colour = WHITE) -> Frame:
    """Read one still picture as uint8 RGB, (h, w, 3), upright, in memory of its own.

    `source` is the path or the bytes of a PNG, JPEG or WebP, a Pillow image, or a uint8 array (h, w),
    (h, w, 3) or (h, w, 4). The EXIF rotation is applied; alpha is composited on `background`; CMYK, 16-bit,
    gray and palette images become 8-bit RGB; an embedded colour profile is not applied. More than
    `max_pixels` are refused from the header alone, before anything is decoded.
    Raises ValueError naming what was got, what is wanted and how to fix it.
    """
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, "the image", max_pixels, background)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), f"the image of {len(source)} bytes", max_pixels, background)
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"got {type(source).__name__} for an image, want a path, bytes, a Pillow image or an array")
    name = f"the image {os.fspath(source)}"
    if not os.path.isfile(source):
        got = "that is not a file" if os.path.exists(source) else "there is no such file"
        raise ValueError(f"cannot read {name}: {got}; give the path of a PNG, JPEG or WebP file")
    try:
        with open(source, "rb") as file:
            return _read(file, name, max_pixels, background)
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror}; make the file readable") from error


def open_image(file: OpenFile, name: str, *, formats: tuple[str, ...], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read the header of an image in one of Pillow's `formats`; `name` is what messages call it.

    Raises ValueError for another format and for more than `max_pixels`.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of mid-size bombs; our own cap below refuses them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise ValueError(f"cannot read {name}: {error}; make it smaller first") from error
    except Exception as error:  # a decoder meeting hostile bytes may raise anything
        file.seek(0)
        raise ValueError(
            f"cannot read {name}: got {_kind(file.read(512))}, want {' or '.join(formats)}; convert it first"
        ) from error
    _check_pixels(image, name, max_pixels)
    return image


def fit(
    image: np.ndarray,
    *,
    size: tuple[int, int],
    rule: str = "pad",
    colour: Colour | None = None,
    pixel_aspect: float = 1.0,
) -> UInt8[np.ndarray, "height width 3"]:
    """Bring a picture (h, w, 3) to `size` (height, width) without ever stretching what it shows.

    "pad" shows the whole picture, centred, on `colour` (default: the mean colour of the picture's outermost
    pixels); "crop" fills the size and cuts what stands over, half at each end. Scaling is Lanczos. `pixel_aspect` is
    the width of the given picture's pixels relative to their height; those of the result are square. A picture
    of that size comes back unchanged. Raises ValueError for another rule or an impossible size.
    """
    image = check_frame(image)
    if rule not in ("pad", "crop"):
        raise ValueError(f"got the fit rule {rule!r}; choose 'pad' (whole picture) or 'crop' (filled frame)")
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"cannot fit an image to the size {size}; give (height, width) in pixels, 1 or more")
    (h, w), (height, width) = image.shape[:2], size
    if (h, w) == (height, width) and pixel_aspect == 1:
        return image.copy()
    picture = Image.fromarray(image)
    if rule == "crop":
        scale = max(height / h, width / (w * pixel_aspect))
        dy, dx = (h - height / scale) / 2, (w - width / (scale * pixel_aspect)) / 2
        # A fractional box keeps the aspect exact where rounding to whole pixels would bend it.
        box = (max(dx, 0.0), max(dy, 0.0), min(w - dx, w), min(h - dy, h))
        return np.array(picture.resize((width, height), Image.Resampling.LANCZOS, box=box))
    scale = min(height / h, width / (w * pixel_aspect))
    new_h, new_w = max(1, round(h * scale)), max(1, round(w * pixel_aspect * scale))
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = _border_colour(image) if colour is None else colour
    top, left = (height - new_h) // 2, (width - new_w) // 2
    canvas[top : top + new_h, left : left + new_w] = np.asarray(
        picture.resize((new_w, new_h), Image.Resampling.LANCZOS)
    )
    return canvas


def write_image(path: str | os.PathLike[str], frame: np.ndarray, *, overwrite: bool = False) -> None:
    """Write a picture (h, w, 3) as .png (exact), .webp (exact) or .jpg (quality 95, 4:4:4), atomically.

    Raises ValueError for another ending, for what is not a picture, and as `atomic.check_file` does.
    """
    frame, ending = check_frame(frame), os.path.splitext(path)[1].lower()
    if ending not in SAVE_OPTIONS:
        raise ValueError(f"cannot write {path}: got the ending {ending!r}, know {', '.join(SAVE_OPTIONS)}")
    with atomic_file(path, overwrite=overwrite) as temporary:
        data = io.BytesIO()  # Pillow hides the reason when a codec of its own meets a full disk
        Image.fromarray(frame).save(data, **SAVE_OPTIONS[ending])
        temporary.write_bytes(data.getbuffer())


def check_frame(frame: Any) -> Frame:
    """Return `frame` as a contiguous uint8 array (h, w, 3); ValueError says what it is instead."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"got {type(frame).__name__} for a frame, want a uint8 array (h, w, 3)")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(
            f"got {frame.dtype} {frame.shape} for a frame, want uint8 (h, w, 3), 255 being white; "
            "from floats in [0, 1]: (255 * x).round().astype('uint8')"
        )
    return np.ascontiguousarray(frame)


def colour_of(text: str) -> Colour:
    """Red, green and blue, 0 to 255, of a colour's name or #rrggbb. Raises ValueError for what is none."""
    try:
        channels = ImageColor.getrgb(text)
    except ValueError:
        channels = (0, 0, 0, 0)
    if len(channels) == 4 or max(channels) > 255:  # these have no alpha, and Pillow reads rgb(999,0,0)
        raise ValueError(f"got {text[:40]!a}; wanted a colour such as white or #ff8800")
    return channels


def _read(file: OpenFile, name: str, max_pixels: int, background: Colour) -> Frame:
    with open_image(file, name, formats=IMAGE_FORMATS, max_pixels=max_pixels) as image:
        return _decode(image, name, max_pixels, background)


def _from_array(array: np.ndarray) -> Image.Image:
    colours = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not colours or array.size == 0:
        raise ValueError(
            f"got an array of {array.dtype} {array.shape} for an image, want uint8 (h, w), (h, w, 3) or "
            "(h, w, 4); from floats in [0, 1]: (255 * x).round().astype('uint8')"
        )
    return Image.fromarray(array)


def _check_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ValueError(
            f"cannot read {name}: it has {image.width} x {image.height} pixels, and more than {max_pixels:,} "
            "are not read; make it smaller first"
        )


def _decode(image: Image.Image, name: str, max_pixels: int, background: Colour) -> Frame:
    _check_pixels(image, name, max_pixels)
    # Phones store depth or a brighter copy behind a JPEG (MPO): its first picture is the photograph.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ValueError(f"cannot read {name}: it is animated; save the one frame you mean as PNG")
    try:
        return flatten(ImageOps.exif_transpose(image), background)
    except Exception as error:  # a decoder meeting hostile bytes may raise anything
        raise ValueError(f"cannot read {name}: {error}; export it again as 8-bit RGB PNG") from error


def flatten(image: Image.Image, background: Colour = WHITE) -> Frame:
    """Decode a Pillow image of any mode to uint8 RGB (h, w, 3), alpha composited on `background`."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        alpha = np.where(levels == image.info.get("transparency", -1), 0, 255).astype(np.uint8)
        gray = ((levels * 255 + 32767) // 65535).astype(np.uint8)
        image = Image.merge("LA", (Image.fromarray(gray), Image.fromarray(alpha)))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range, want 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
    return np.array(image.convert("RGB"))


def _kind(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return "an HEIC, AVIF or video file"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((kind for magic, kind in MAGIC if start.startswith(magic)), "a damaged or unknown file")


def _border_colour(image: Frame) -> np.ndarray:
    edges = [image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]
    return np.asarray(np.concatenate(edges).mean(axis=0).round())
