"""Films over HTTP: a story and its pictures, planned when it is asked for and again by the worker who makes it.

All films of a server share one store of clips, each under the name of all that makes it: where a shot of a film is
changed and the film is asked for again, only what the change touches is made.
"""

from collections.abc import Mapping
from pathlib import Path

from pixeldance.film.calls import Plan
from pixeldance.film.plan import plan_film
from pixeldance.film.story import Script, Story, check
from pixeldance.receipt import Model
from pixeldance.serve.refused import invalid
from pixeldance.serve.requests import picture
from pixeldance.system import Maker

MOST_SHOTS, MOST_FRAMES, MOST_PICTURES = 100, 20_000, 40
NAME = "the story"


def planned(story: Story, pictures: Mapping[str, str], system: Maker, model: Model) -> Plan:
    """The plan of a story whose pictures are data URLs. Raises ValueError, naming the shot, for what cannot be made."""
    files = {name: picture(url, "pictures") for name, url in pictures.items()}
    script = Script(story=story, name=NAME, folder=Path(), pictures=files)
    check(script)
    return plan_film(script, system, model)


def check_size(story: Story, pictures: Mapping[str, str], system: Maker) -> None:
    """Raise Refused for more than a server takes on; planning it would already be work."""
    fps = system.fps if story.fps is None else story.fps
    frames = sum(
        system.frames[0] * (1 + shot.text.count("THEN")) if length is None else length
        for shot in story.shots
        for length in [shot.frames if shot.seconds is None else shot.seconds * fps]
    )
    if len(story.shots) > MOST_SHOTS or frames > MOST_FRAMES:
        raise invalid(
            f"got {len(story.shots)} shots and about {frames:.0f} frames; this server films {MOST_SHOTS} shots and "
            f"{MOST_FRAMES} frames at most: make it in parts",
            "story",
        )
    if len(pictures) > MOST_PICTURES:
        raise invalid(f"got {len(pictures)} pictures; wanted {MOST_PICTURES} at most", "pictures")


def steps_of(plan: Plan) -> int:
    """How many steps all clips of a film take."""
    return sum(call.steps for call in plan.calls.values())
