"""What the claims measure: ideal on real clips, and worse where the one thing that is measured is spoilt."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pixeldance.reproduce import make, measures
from pixeldance.reproduce.toy import ASKED, STRIDE, Request, Slides, Video, marked, request

REQUESTS = [request(ASKED + number) for number in range(12)]


def backwards(asked: Request) -> Video:
    return asked.real[::-1]


def still(asked: Request) -> Video:
    return np.repeat(asked.real[:1], len(asked.real), axis=0)


def jumping(asked: Request) -> Video:
    return np.concatenate([asked.real[[0, 0, 1, 1, 1, 2, 2]], asked.real[-1:]])


def emptied(asked: Request) -> Video:
    return np.broadcast_to(asked.real[:, :1, :1], asked.real.shape).copy()


def recoloured(asked: Request) -> Video:
    return asked.real[..., [1, 2, 0]]


def watermarked(asked: Request) -> Video:
    return marked(asked.real)


@pytest.mark.parametrize(
    ("measure", "ideal", "spoilt", "at_most"),
    [
        (measures.way, 1.0, backwards, -0.9),
        (measures.way, 1.0, emptied, 0.0),
        (measures.near, 0.0, still, -3.0),
        (measures.near, 0.0, emptied, -16.0),
        (measures.arrives, 0.0, still, -6.0),
        (measures.like_real, 100.0, still, 25.0),
        (measures.ends_like_real, 100.0, backwards, 25.0),
        (measures.starts_as_asked, 100.0, backwards, 25.0),
        (measures.even_end, 0.0, jumping, -2.0),
        (measures.moves, 1.0, still, 0.0),
        (measures.told, 1.0, backwards, 0.5),
        (measures.keeps_colour, 1.0, recoloured, 0.0),
        (measures.picture_told, 1.0, emptied, 0.0),
        (measures.unmarked, 1.0, watermarked, 0.0),
    ],
)
def test_a_measure_is_ideal_on_real_clips_and_falls_where_they_are_spoilt(
    measure: measures.Measure, ideal: float, spoilt: Callable[[Request], Video], at_most: float
):
    for asked in REQUESTS:
        assert measure(asked.real, asked) == pytest.approx(ideal, abs=0.2)
        assert measure(spoilt(asked), asked) <= at_most + 0.2


def test_a_home_coming_is_measured_against_the_start():
    for asked in REQUESTS:
        assert measures.comes_home(backwards(asked), asked) == 100 > measures.comes_home(asked.real, asked)


def test_a_missing_thing_has_no_even_end():
    assert np.isnan(measures.even_end(emptied(REQUESTS[0]), REQUESTS[0]))


def test_a_draft_is_at_the_place_of_the_thing_and_does_not_look_like_it():
    for asked in REQUESTS:
        drawn = replace(asked, real=np.concatenate([asked.real[:-1], measures.draft(asked)[None]]))
        assert abs(measures.arrives(drawn.real, asked)) < 0.7
        assert measures.ends_like_draft(drawn.real, asked) == 100 > measures.ends_like_draft(asked.real, asked)
        assert measures.keeps_colour(drawn.real[-1:], asked) == 0


def test_a_style_keeps_places_and_no_colour():
    for asked in REQUESTS:
        styled = make.in_style(asked)[None]
        assert np.allclose(measures.path(styled), measures.path(asked.real[:1]), atol=0.7)
        assert measures.keeps_colour(styled, asked) == 0


def test_training_clips_are_every_second_frame_with_as_many_marks_as_asked():
    rng = np.random.default_rng(0)
    clean, half = Slides(), Slides(marked=0.5)
    clips = [half.read(number, rng) for number in range(40)]
    bare = [clean.read(number, rng) for number in range(40)]
    share = np.mean([not np.array_equal(one.video, other.video) for one, other in zip(clips, bare, strict=True)])
    assert 0.25 < share < 0.75
    assert bare[0].video.shape == (16 // STRIDE, 32, 32, 3)
    assert bare[0].text == request(0).text
