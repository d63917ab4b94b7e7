"""The story in examples/ is one that the shipped model can film, and docs/films.md says what is so."""

import re
from pathlib import Path

from pixeldance import checkpoint
from pixeldance.film.camera import CAMERA
from pixeldance.film.plan import plan_film
from pixeldance.film.receipt import model_of
from pixeldance.film.story import Shot, Story, parse_story, read_story, texts
from pixeldance.nets.words import words
from pixeldance.pipeline import SHIPPED

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "films.md").read_text()


def test_the_example_is_three_minutes_of_two_that_meet():
    script = read_story(ROOT / "examples" / "story.yaml")
    story, system = script.story, checkpoint.read_system(SHIPPED)
    plan = plan_film(script, system, model_of(SHIPPED, []))
    assert len(story.shots) >= 18
    assert plan.frames() / plan.fps == 180
    known = set(system.text.vocabulary)
    assert {word for shot in story.shots for text in texts(story, shot) for word in words(text)} <= known
    for name in ("star", "ball"):
        assert sum(f"{{{name}}}" in shot.text for shot in story.shots) >= 8
    assert any("{star}" in shot.text and "{ball}" in shot.text for shot in story.shots)
    assert {shot.joined for shot in story.shots} == {"continue", "transition", "cut"}


def test_the_story_of_the_docs_is_one():
    (block,) = re.findall(r"^```yaml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    story = parse_story(block, name="docs/films.md", folder=ROOT).story
    shown = {name for shot in story.shots for name in shot.model_fields_set}
    assert shown | {"frames"} == set(Shot.model_fields)
    assert story.model_fields_set == set(Story.model_fields)
    said = " ".join(DOCS.split())
    assert all(word.split()[-1] in said for word in CAMERA)
