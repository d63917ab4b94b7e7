"""A story: what a film shows, shot by shot, as a person writes it in YAML.

Everything is checked here, before a model is looked for, and an error names the line. What the words mean for the model
(`texts`) is decided here too: subjects by name, style, camera, and the beats of a shot.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pixeldance.film.camera import CAMERA, said
from pixeldance.nets.words import words

PREVIOUS = "previous"
MAX_BYTES = 1_000_000  # of a story file; three hours of film take a tenth
LONGEST = 2000  # characters of a text

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Whole = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Join = Literal["continue", "transition", "cut"]
Place = tuple[str | int, ...]
"""Where in a story something stands: ("shots", 2, "text")."""


class Record(BaseModel):
    """Nothing is converted or left out when a story is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Shot(Record):
    """One shot. text: what happens; THEN parts its beats. seconds or frames: its length, None: one clip of the model.

    first, last: pictures, or "previous", the last frame of the shot before. join: how it follows the shot before:
    continue is one take with it, transition starts on the frame that the shot before arrives at, cut starts anew.
    tau, seed: None is the story's. plan: chain makes clip after clip; pyramid makes keyframes and then fills the gaps.
    """

    text: Text
    seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    frames: Annotated[int, Field(ge=2, le=10**6)] | None = None
    camera: Literal[tuple(CAMERA)] | None = None  # type: ignore[valid-type]
    first: Text | None = None
    last: Text | None = None
    tau: Share | None = None
    seed: Whole | None = None
    join: Join | None = None
    plan: Literal["chain", "pyramid"] = "chain"

    @property
    def joined(self) -> Join:
        """The join, where it is not said: the frame before continues a take, anything else is a cut."""
        return self.join or ("continue" if self.first == PREVIOUS else "cut")


class Story(Record):
    """A film. size: WIDTHxHEIGHT, fps: frames per second, steps, guidance: None is the model's own.

    style: words that every text ends with. subjects: what {name} in a text stands for. fit: how pictures of another
    shape are brought to size.
    """

    size: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}x[0-9]{1,6}$")] | None = None
    fps: Annotated[float, Field(ge=0.1, le=240)] | None = None
    style: Annotated[str, StringConstraints(max_length=1000)] = ""
    subjects: dict[Name, Text] = {}
    fit: Literal["pad", "crop"] = "pad"
    tau: Share = 1.0
    seed: Whole = 0
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    shots: Annotated[list[Shot], Field(min_length=1, max_length=10_000)]


@dataclass(frozen=True, kw_only=True)
class Script:
    """A checked story, and where it was written. folder: what its pictures' paths start from. pictures: their files'
    bytes by these paths, where they lie in no folder; then nothing is read from the disk."""

    story: Story
    name: str
    folder: Path
    root: yaml.Node | None = None
    pictures: Mapping[str, bytes] | None = None

    def picture(self, path: str) -> Path | bytes:
        """One of its pictures, for `image.read_image`. Raises ValueError for one that did not come with the story."""
        if self.pictures is None:
            return self.folder / path
        if path not in self.pictures:
            have = ", ".join(self.pictures) or "none"
            raise ValueError(f"got the picture {path[:80]!r}; these came with the story: {have[:200]}")
        return self.pictures[path]

    def error(self, place: Place, message: str) -> ValueError:
        """An error that names the line, or for a story that was not read from lines, the shot."""
        return ValueError(f"{self.name}{_line(self.root, place)}: {_spelled(place)}{message}")

    @contextmanager
    def explained(self, *place: str | int) -> Iterator[None]:
        """Turn the ValueErrors of the body into ones that name the line."""
        try:
            yield
        except ValueError as error:
            raise self.error(place, str(error)) from None


def read_story(path: Path) -> Script:
    """The story in a YAML file. Raises ValueError, naming the line, for anything else."""
    if not path.is_file():
        raise ValueError(
            f"got {path}, which is no file; wanted a story (.yaml), or a text with shots, parted by cut to:"
        )
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; wanted a story, {MAX_BYTES:,} at most")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; save it as UTF-8") from None
    return parse_story(text, name=str(path), folder=path.parent)


def parse_story(text: str, *, name: str, folder: Path) -> Script:
    """The story in a YAML text, which messages call `name`. Raises ValueError, naming the line."""
    try:
        alias = next((each for each in yaml.parse(text, yaml.SafeLoader) if isinstance(each, yaml.AliasEvent)), None)
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"{name}{_at(error.problem_mark)}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two of dates and depths that are none
        raise ValueError(f"{name}: not YAML: {error}") from None
    if alias is not None:
        raise ValueError(f"{name}{_at(alias.start_mark)}: got an alias, *{alias.anchor}; write it out")
    for node, key in _repeated(root):
        raise ValueError(f"{name}{_at(node.start_mark)}: {key!r} is said a second time; remove one")
    if not isinstance(data, dict):
        raise ValueError(f"{name}, line 1: got {type(data).__name__}; wanted shots: and a list of them")
    try:
        story = Story.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        # Of what a union could have been pydantic also gives the alternative, which is no place in the file.
        place = tuple(each for each in first["loc"] if isinstance(each, int) or each in _names(data))
        raise ValueError(f"{name}{_line(root, place)}: {_spelled(place)}{_told(first)}") from None
    script = Script(story=story, name=name, folder=folder, root=root)
    check(script)
    return script


def filmed(script: Script, camera: str | None) -> Script:
    """The script with this camera in the shots that say none. Raises ValueError for a word that is none of CAMERA."""
    if camera is None:
        return script
    said("", camera)
    shots = [each if each.camera else each.model_copy(update={"camera": camera}) for each in script.story.shots]
    return replace(script, story=script.story.model_copy(update={"shots": shots}))


def check(script: Script) -> None:
    """Raise ValueError, naming the line, for what is wrong between the parts of a story."""
    story = script.story
    for number, shot in enumerate(story.shots):
        place = ("shots", number)
        before = story.shots[number - 1] if number else None
        if before is None and (shot.joined != "cut" or PREVIOUS in (shot.first, shot.last)):
            field = "join" if shot.join else "first" if shot.first == PREVIOUS else "last"
            raise script.error((*place, field), "there is no shot before the first one")
        if shot.seconds is not None and shot.frames is not None:
            raise script.error((*place, "frames"), "got seconds and frames; give one of them")
        if shot.joined == "continue" and shot.first not in (None, PREVIOUS):
            raise script.error((*place, "first"), "a take goes on from the frame before; remove first, or join: cut")
        if shot.joined != "continue" and shot.first == PREVIOUS:
            raise script.error((*place, "first"), f"join: {shot.join} starts on another frame; wanted join: continue")
        if before is not None and shot.joined == "transition" and before.last is not None and shot.first is not None:
            raise script.error((*place, "first"), "the shot before names its last frame, which is this one; remove one")
        if shot.plan == "pyramid" and len(beats(shot.text)) > 1:
            raise script.error((*place, "plan"), "a pyramid has one text; remove THEN, or make it plan: chain")
        for name in re.findall(r"\{([^{}]*)\}", shot.text):
            if name not in story.subjects:
                known = ", ".join(story.subjects) or "none"
                raise script.error((*place, "text"), f"got {{{name}}}; the subjects of this story are: {known}")
        for text in texts(story, shot):
            if not words(text):
                raise script.error((*place, "text"), f"got a beat without words in {shot.text!r}; wanted what happens")


def texts(story: Story, shot: Shot) -> list[str]:
    """What the model is told for each beat of a shot: subjects by their descriptions, then camera, then style.

    A beat that says no subject has that of the first beat, if that one begins with it: "{hero} sits THEN stands up".
    """
    parts = beats(shot.text)
    subject = re.match(r"\{[^{}]*\}", parts[0])
    told = [part if "{" in part or not subject else f"{subject[0]} {part}" for part in parts]
    named = [re.sub(r"\{([^{}]*)\}", lambda match: story.subjects.get(match[1], ""), part) for part in told]
    ends = [end for end in (CAMERA[shot.camera] if shot.camera else "", story.style) if end]
    return [", ".join([part, *ends]) if part else "" for part in named]


def beats(text: str) -> list[str]:
    """The beats of a shot's text, parted by THEN in capitals."""
    return [part.strip(" ,;.\n") for part in re.split(r"\bTHEN\b", text)]


def written(story: Story) -> str:
    """A story as YAML, without what was left out."""
    data = story.model_dump(exclude_defaults=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _repeated(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, str]]:
    """The keys that stand twice in a mapping; YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key, key.value
            seen.add(str(key.value))
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _repeated(each)


def _line(node: yaml.Node | None, place: Place) -> str:
    """The line of a place, or of what is nearest to it."""
    if node is None:
        return ""
    mark = node.start_mark
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                break
            mark, node = found[0].start_mark, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            mark = node.start_mark
        else:
            break
    return _at(mark)


def _at(mark: Any) -> str:
    """A mark of YAML's, which count from 0, in words; nothing where there is none."""
    return "" if mark is None else f", line {mark.line + 1}"


def _spelled(place: Sequence[str | int]) -> str:
    """A place in words; shots count from 1."""
    told = [
        f"shot {each + 1}" if isinstance(each, int) else each
        for each in place
        if each != "shots" or place == ("shots",)
    ]
    return f"{', '.join(told)}: " if told else ""


def _names(data: Any) -> set[str]:
    """Every key of the data, and of our records: fields that are missing have a place too."""
    known = {*Story.model_fields, *Shot.model_fields}
    if isinstance(data, dict):
        return known.union(map(str, data), *map(_names, data.values()))
    return known.union(*map(_names, data)) if isinstance(data, list) else known


def _told(error: Any) -> str:
    """What pydantic says, with what we would have liked."""
    if error["type"] == "extra_forbidden":
        record = Shot if "shots" in error["loc"] else Story
        return f"is not known; wanted one of {', '.join(record.model_fields)}"
    if error["type"] == "missing":
        return "is missing"
    return f"got {error['input']!r}; {error['msg'].replace('Input should', 'it should')}"
