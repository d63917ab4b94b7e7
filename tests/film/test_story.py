"""Stories: what may be written, what it means for the model, and errors that name the line."""

from pathlib import Path

import pytest

from pixeldance.film.prompt import parse_prompt
from pixeldance.film.story import Story, parse_story, read_story, texts, written

GOOD = """\
size: 64x64
fps: 8
style: on a plain white background
subjects:
  hero: a red star
  friend: a blue circle
seed: 5
shots:
  - text: "{hero} moves right, THEN meets {friend}; THEN {friend} moves up"
    seconds: 6
    camera: pan left
    first: a.png
    tau: 0.5
  - text: "{friend} grows"
    first: previous
  - text: a heart spins
    join: transition
    frames: 20
    last: previous
    plan: pyramid
"""


def told(text: str) -> str:
    with pytest.raises(ValueError, match="story") as error:
        parse_story(text, name="story", folder=Path())
    return str(error.value)


def test_a_story_is_read_and_written_again():
    story = parse_story(GOOD, name="story", folder=Path()).story
    assert [shot.joined for shot in story.shots] == ["cut", "continue", "transition"]
    assert (story.size, story.fps, story.seed, story.tau) == ("64x64", 8, 5, 1)
    again = parse_story(written(story), name="again", folder=Path()).story
    assert again == story


def test_beats_have_subjects_camera_and_style():
    story = parse_story(GOOD, name="story", folder=Path()).story
    end = ", the camera pans left, on a plain white background"
    assert texts(story, story.shots[0]) == [
        f"a red star moves right{end}",
        f"meets a blue circle{end}",
        f"a blue circle moves up{end}",
    ]
    two = Story.model_validate({"subjects": {"hero": "a star"}, "shots": [{"text": "{hero} sits THEN stands up"}]})
    assert texts(two, two.shots[0]) == ["a star sits", "a star stands up"]
    without = Story.model_validate({"shots": [{"text": "a star sits THEN stands up"}]})
    assert texts(without, without.shots[0]) == ["a star sits", "stands up"]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("fps: 8", "fps: fast", 2, "fps: got 'fast'"),
        ("fps: 8", "fsp: 8", 2, "fsp: is not known; wanted one of size, fps"),
        ("fps: 8", "fps: 0", 2, "fps: got 0"),
        ("fps: 8", "fps: .nan", 2, "fps: got nan"),
        ("fps: 8", "fps: 8\nfps: 9", 3, "'fps' is said a second time"),
        ("size: 64x64", "size: 16:9", 1, "size: got 969"),  # YAML 1.1 reads minutes and seconds
        ("  hero:", "  Hero:", 5, "Hero"),
        ("seed: 5", "seed: 4294967296", 7, "seed: got 4294967296"),
        ("seconds: 6", "seconds: yes", 10, "shot 1, seconds: got True"),
        ("seconds: 6", "seconds: 6\n    frames: 8", 11, "shot 1, frames: got seconds and frames"),
        ("pan left", "pan lefty", 11, "shot 1, camera: got 'pan lefty'; it should be 'pan left'"),
        ("tau: 0.5", "tau: 1.5", 13, "shot 1, tau: got 1.5"),
        ("tau: 0.5", "join: continue", 13, "shot 1, join: there is no shot before"),
        ("first: a.png", "first: previous", 12, "shot 1, first: there is no shot before"),
        ('text: "{friend} grows"', "texts: x", 14, "shot 2, text: is missing"),
        ("{friend} grows", "{villain} grows", 14, "shot 2, text: got {villain}; the subjects of this story are: hero"),
        ("{friend} grows", "...", 14, "shot 2, text: got a beat without words"),
        ("{friend} grows", "x THEN THEN y", 14, "shot 2, text: got a beat without words"),
        ("first: previous", "join: jump", 15, "shot 2, join: got 'jump'"),
        ("first: previous", "join: continue\n    first: b.png", 16, "shot 2, first: a take goes on"),
        ("first: previous", "join: cut\n    first: previous", 16, "shot 2, first: join: cut starts on another"),
        ("first: previous", "first: previous\n    last: b.png", 0, ""),
        ("a heart spins", "a heart spins THEN grows", 20, "shot 3, plan: a pyramid has one text"),
        ("frames: 20", "frames: 1", 18, "shot 3, frames: got 1"),
        ("seed: 5", "seed: &s 5\ntau: *s", 8, "got an alias, *s"),
        ("seed: 5", "seed: [", 9, "not YAML"),
    ],
)
def test_an_error_names_its_line(old: str, new: str, line: int, says: str):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not line:
        parse_story(text, name="story", folder=Path())
        return
    message = told(text)
    assert message.startswith(f"story, line {line}: ")
    assert says in message


def test_a_transition_has_one_picture():
    text = "shots:\n- {text: a star, last: a.png}\n- {text: a heart, join: transition, first: b.png}\n"
    assert told(text).startswith("story, line 3: shot 2, first: the shot before names its last frame")


@pytest.mark.parametrize("text", ["", "- 3", "shots", "shots: []", "shots: 3", "size: 4x4"])
def test_what_is_no_story(text: str):
    assert told(text).startswith("story, line 1: ")


@pytest.mark.parametrize("value", ["2024-99-99", "9" * 5000, "[" * 5000 + "]" * 5000, "\0"])
def test_values_that_python_cannot_hold(value: str):
    assert told(f"size: {value}\n").startswith("story: not YAML: ")


def test_files_that_cannot_be_read(tmp_path: Path):
    for name, data in (("none.yaml", None), ("latin.yaml", b"style: caf\xe9"), ("long.yaml", b"#" * 1_000_001)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            read_story(tmp_path / name)


# Several shots in one prompt


def test_a_prompt_of_several_shots():
    text = "A girl gets out of a car, in the style of Monet; cut to: the sunset. Then cut to she smiles, mood: calm"
    story = parse_prompt(text).story
    assert [(shot.text, shot.join) for shot in story.shots] == [
        ("{subject} gets out of a car", None),
        ("the sunset", "cut"),
        ("{subject} smiles", "cut"),
    ]
    assert story.subjects == {"subject": "A girl"}
    assert texts(story, story.shots[2]) == ["A girl smiles, in the style of Monet, calm"]


def test_the_joins_of_a_prompt():
    text = (
        "a red cross is spinning; transition to: a ring THEN a disc; continue: it grows, then the scene changes to mud"
    )
    story = parse_prompt(text).story
    assert [shot.join for shot in story.shots] == [None, "transition", "continue", "cut"]
    assert story.subjects == {"subject": "a red cross"}
    assert story.shots[2].text == "{subject} grows"


def test_a_prompt_of_one_shot_stays_as_it_is():
    text = "they continue to walk as colours fade to grey"
    assert [shot.text for shot in parse_prompt(text).story.shots] == [text]


@pytest.mark.parametrize("text", ["", "a girl; cut to:", "cut to: a girl", "a girl; cut to: " + "x" * 2001])
def test_a_prompt_with_an_empty_or_endless_shot(text: str):
    with pytest.raises(ValueError, match="the prompt, shot"):
        parse_prompt(text)
