"""A system is checked as a whole when it is made: its network must fit what it is told."""

from dataclasses import replace
from typing import Any

import pytest
from tiny import TINY

from pixeldance.condition import MICRO, ImageSlots
from pixeldance.diffusion.process import share_at_step
from pixeldance.nets.text import CLIPConfig
from pixeldance.systems import PIXELDANCE, SMALL_PIXELDANCE

NET = TINY.net


@pytest.mark.parametrize(
    ("vector", "width"),
    [
        ((), 0),
        (("text",), 16),
        (("fps",), MICRO),
        (("size",), 2 * MICRO),
        (("text", "fps", "size"), 16 + 3 * MICRO),
        (("size", "fps"), 3 * MICRO),
    ],
)
def test_the_vector_must_be_as_wide_as_its_parts(vector: Any, width: int) -> None:
    assert replace(TINY, vector=vector, net=replace(NET, vector=width)).vector == vector
    with pytest.raises(ValueError, match=rf"got a net with \(concat, tokens, vector\) = \(98, 16, {width + 1}\).*make"):
        replace(TINY, vector=vector, net=replace(NET, vector=width + 1))


@pytest.mark.parametrize(
    ("slots", "concat"),
    [
        (ImageSlots(tile=True), 98),
        (ImageSlots(), 49),
        (ImageSlots(first=4), 49),
        (ImageSlots(mask=False), 48),
        (ImageSlots(first=0, last=False), 0),
    ],
)
def test_the_network_must_take_the_slots(slots: ImageSlots, concat: int) -> None:
    assert replace(TINY, condition=slots, net=replace(NET, concat=concat)).condition == slots
    with pytest.raises(ValueError, match=rf"\({concat + 1}, 16, 16\); these slots.*make \({concat}, 16, 16\)"):
        replace(TINY, condition=slots, net=replace(NET, concat=concat + 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vector": ("text", "text")}, r"got vector=\('text', 'text'\); wanted each of .* at most once"),
        ({"vector": ("text", "colour")}, "'fps', 'size'"),
        ({"trained": ("codec", "net")}, r"got trained=\('codec', 'net'\); wanted 'text', 'net' or both"),
        ({"trained": ()}, r"got trained=\(\)"),
    ],
)
def test_unknown_parts_are_refused(settings: dict[str, Any], message: str) -> None:
    # Read from a file, where no type checker looks.
    from pixeldance.checkpoint import from_json, to_json

    with pytest.raises(ValueError, match=message):
        from_json(to_json(TINY) | {name: list(value) for name, value in settings.items()})


def test_clip_is_never_trained() -> None:
    with pytest.raises(ValueError, match=r"CLIP text encoder.*always frozen; wanted trained=\('net',\)"):
        replace(PIXELDANCE, trained=("text", "net"))
    assert isinstance(PIXELDANCE.text, CLIPConfig)
    assert PIXELDANCE.trained == ("net",)
    assert replace(SMALL_PIXELDANCE, trained=("text", "net")).trained == ("text", "net")  # words may be


def test_the_paper_s_pictures_have_the_noise_of_step_100() -> None:
    share = share_at_step(PIXELDANCE.process, 100)
    assert PIXELDANCE.condition.noise == (share, share)
    assert share == pytest.approx(0.10, abs=0.01)
