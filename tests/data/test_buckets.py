import numpy as np
import pytest

from pixeldance.data.buckets import Buckets
from pixeldance.data.decode import Shown

SIZES = Buckets(sizes=((64, 64), (48, 80), (80, 48)))


def test_the_nearest_shape_is_chosen() -> None:
    assert [SIZES.nearest(size) for size in ((100, 100), (1080, 1920), (1920, 1080), (90, 100))] == [0, 1, 2, 0]
    # On the log scale 1.29 lies nearer to 1 than to 5/3, and wide and high are treated alike.
    assert SIZES.nearest((129, 100)) == SIZES.nearest((100, 129)) == 0
    assert SIZES.nearest((130, 100)) == 2
    assert SIZES.nearest((100, 130)) == 1


@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.5])
def test_frames_are_cut_and_never_stretched(aspect: float) -> None:
    """A disc as a viewer sees it stays one, whatever the shape of the pixels and of the bucket."""
    for seen in ((96, 96), (90, 160), (160, 90)):
        height, width = seen[0], round(seen[1] / aspect)
        y, x = np.mgrid[:height, :width]
        disc = (y - (height - 1) / 2) ** 2 + ((x - (width - 1) / 2) * aspect) ** 2 < 30**2
        frame = np.repeat((disc * 255).astype(np.uint8)[..., None], 3, axis=2)
        fitted = SIZES.fitted(Shown(frames=[frame, frame], pixel_aspect=aspect))
        assert fitted.shape[0] == 2
        assert fitted.shape[1:3] == SIZES.sizes[SIZES.nearest(seen)]
        white = fitted[0, ..., 0] > 127
        across, down = white.any(axis=0).sum(), white.any(axis=1).sum()
        assert abs(int(across) - int(down)) <= 2
        assert across >= 20


def test_frames_of_the_size_wanted_are_left_alone() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(SIZES.fitted(Shown(frames=[frame]))[0], frame)


@pytest.mark.parametrize("sizes", [(), ((0, 8),), ((8, 8), (8, 8))])
def test_impossible_sizes_are_refused(sizes: tuple) -> None:
    with pytest.raises(ValueError, match="wanted one or more different"):
        Buckets(sizes=sizes)
