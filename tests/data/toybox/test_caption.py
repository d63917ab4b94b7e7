"""The English of the world."""

import numpy as np
import pytest

from pixeldance.data.toybox import (
    VOCABULARY,
    WORLD,
    World,
    caption,
    clip,
    describe,
    describe_scene,
    scene,
    vague_caption,
)
from pixeldance.data.toybox.world import COLOURS, MOTIONS, SHAPES
from pixeldance.nets.words import words

ALL = World(split="all")


def test_vocabulary_is_exactly_what_captions_say() -> None:
    said: set[str] = set()
    for seed in range(1500):
        truth = scene(seed, ALL)
        rng = np.random.default_rng(seed)
        for text in (caption(truth, rng), caption(truth, rng, frames=1), vague_caption(truth)):
            assert text == text.lower()
            assert text.isascii()
            assert not set("{}/_") & set(text)
            assert "  " not in text
            said.update(words(text))
    assert said <= set(VOCABULARY)
    assert set(VOCABULARY) - said == set()
    assert list(VOCABULARY) == sorted(set(VOCABULARY))


def test_a_fact_has_several_phrasings_and_some_facts_go_unsaid() -> None:
    truth = scene(5, ALL)
    texts = {caption(truth, np.random.default_rng(i)) for i in range(200)}
    assert len(texts) > 150
    lengths = [len(words(text)) for text in texts]
    assert min(lengths) < 8
    assert max(lengths) > 14


def test_captions_name_the_object_and_a_single_frame_tells_no_motion() -> None:
    moving = {"moves", "moving", "left", "spins", "grows", "bounces", "appears", "turns", "camera", "cut"}
    for seed in range(300):
        truth = scene(seed, ALL)
        assert not moving & set(words(caption(truth, np.random.default_rng(seed), frames=1)))
        assert vague_caption(truth).startswith(("a ", "an "))
        assert truth.toys[0].shape in vague_caption(truth)


def test_clips_carry_their_captions() -> None:
    assert clip(3).text == clip(3, size=(32, 32)).text
    assert clip(3).text != clip(4).text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"shape": "star", "colour": "red", "motion": "left", "speed": "slow"}, "a red star moves left slowly"),
        ({"shape": "circle", "colour": "orange"}, "an orange circle"),
        (
            {"shape": "cross", "colour": "cyan", "motion": "change colour", "turns": "blue", "size": "large"},
            "a large cyan cross turns blue",
        ),
        (
            {
                "shape": "ring",
                "colour": "pink",
                "motion": "grow",
                "background": "dark green",
                "texture": "stripes",
                "camera": "zoom in",
            },
            "a pink ring grows on a striped dark green background, the camera zooms in",
        ),
        ({"shape": "heart", "colour": "blue", "motion": "spin", "turn": 1}, "a blue heart spins clockwise"),
    ],
)
def test_describe_says_facts_plainly(facts: dict[str, str], text: str) -> None:
    assert describe(**facts) == text  # type: ignore[arg-type]


def test_everything_can_be_described() -> None:
    for shape in SHAPES:
        for colour in COLOURS:
            for motion in MOTIONS:
                text = describe(shape=shape, colour=colour, motion=motion, turns="red", speed="fast")
                assert set(words(text)) <= set(VOCABULARY)
    text = describe_scene(scene(1, World(two=0.0, cut=0.0)))
    assert set(words(text)) <= set(VOCABULARY)


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(ValueError, match="turns: got None"):
        describe(shape="star", colour="red", motion="change colour")
    with pytest.raises(ValueError, match="got 'blob', wanted one of circle"):
        describe(shape="blob", colour="red")
    two = next(s for s in (scene(i, WORLD) for i in range(100)) if len(s.toys) == 2)
    with pytest.raises(ValueError, match="got 2 objects"):
        describe_scene(two)
