import numpy as np
import pytest

from pixeldance.sheet import contact_sheet


def coloured(f: int, h: int, w: int) -> np.ndarray:
    """A clip whose frame i is one colour of its own, found nowhere else on a sheet."""
    frames = np.zeros((f, h, w, 3), np.uint8)
    frames[..., 0] = 200
    frames[..., 1] = 3 * np.arange(f)[:, None, None]
    return frames


def places(sheet: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.argwhere((sheet == colour).all(-1))


def test_every_frame_is_there_whole_and_in_reading_order() -> None:
    frames = coloured(20, 16, 24)
    sheet = contact_sheet(frames, columns=8, scale=2)
    corners = []
    for frame in frames:
        found = places(sheet, frame[0, 0])
        assert len(found) == 32 * 48
        corners.append((*found[0],))
    assert corners == sorted(corners)
    assert len({y for y, _ in corners}) == 3
    assert len({x for _, x in corners}) == 8


@pytest.mark.parametrize(("size", "shown"), [(16, 128), (64, 128), (100, 100), (200, 200), (512, 256)])
def test_tiny_frames_are_enlarged_and_large_ones_reduced(size: int, shown: int) -> None:
    frames = coloured(2, size, size)
    assert len(places(contact_sheet(frames), frames[1, 0, 0])) == shown**2


def test_enlarged_pixels_are_hard() -> None:
    frame = np.zeros((1, 2, 2, 3), np.uint8)
    frame[0, 0, 0] = (200, 0, 3)
    found = places(contact_sheet(frame, scale=10), np.array((200, 0, 3)))
    assert len(found) == 100


def test_rows_carry_labels_and_given_images() -> None:
    frames = coloured(4, 64, 64)
    first = np.full((32, 32, 3), (0, 99, 9), np.uint8)
    last = np.full((64, 128, 3), (9, 0, 99), np.uint8)
    plain = contact_sheet([("", frames), ("", frames)])
    named = contact_sheet([("a red disc", frames), ("b", frames)], first=first, last=last)
    assert named.shape[0] > plain.shape[0]
    assert len(places(named, first[0, 0])) == 2 * 128 * 128
    assert len(places(named, last[0, 0])) >= 2 * 128 * 64
    assert places(named, first[0, 0])[:, 1].max() < places(named, frames[0, 0, 0])[:, 1].min()


@pytest.mark.parametrize("label", ["word " * 60, "x" * 500, "ÉMIGRÉ 走る 🙂 " * 40, "\n\t", "a\nb"])
def test_long_and_foreign_labels_fit(label: str) -> None:
    frames = coloured(3, 64, 64)
    sheet = contact_sheet([(label, frames)])
    assert sheet.shape[1] == contact_sheet(frames).shape[1]
    right = sheet[:, -8:]
    assert (right == right[0, 0]).all(), "nothing runs over the edge"


def test_what_cannot_be_laid_out_is_refused() -> None:
    frames = coloured(2, 8, 8)
    for rows in ([], frames[:0], [("a", frames), ("b", frames[:0])]):
        with pytest.raises(ValueError, match="no frames"):
            contact_sheet(rows)
    with pytest.raises(ValueError, match="columns=0"):
        contact_sheet(frames, columns=0)
    with pytest.raises(ValueError, match="float64"):
        contact_sheet(frames / 255)
