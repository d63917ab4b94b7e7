"""Videos that come with a request: extended, or made anew between their ends. Both are plans of clips, as films are.

An uploaded file is written under a name of ours and opened as the container that its first bytes name, so that a
playlist opens nothing. It must have the model's size; it is decoded frame by frame, and no further than is allowed.
"""

import hashlib
import io
import os
from dataclasses import replace
from itertools import count
from typing import Any, Literal

from PIL import Image

from pixeldance.atomic import atomic_file
from pixeldance.film.calls import Call, Given, Plan
from pixeldance.film.extend import plan_extension
from pixeldance.film.plan import Take, chain, check_calls, frames_in, lengths
from pixeldance.image import Frame
from pixeldance.receipt import Model as Recorded
from pixeldance.serve.ends import Change
from pixeldance.serve.places import Places
from pixeldance.serve.refused import invalid
from pixeldance.serve.requests import Asked, Model, New, checked
from pixeldance.serve.tasks import LongTask, LoraAsked
from pixeldance.system import Maker
from pixeldance.video import iterate_video
from pixeldance.video_read import CONTAINERS, open_container

MOST_FRAMES = 2000
MAGIC = {b"ftyp": ".mp4", b"\x1a\x45\xdf\xa3": ".mkv"}


def source(places: Places, data: bytes, system: Maker) -> tuple[str, Frame, Frame, int, float]:
    """Keep a video: (the name that it is kept under, its first and last frame, how many it has, its rate).

    Raises Refused for what is none, is of another size than the model makes, or is too long.
    """
    ending = next((end for magic, end in MAGIC.items() if magic in data[:12]), None)
    if ending is None:
        raise invalid("got a video that is neither MP4 nor Matroska; wanted one of them", "video")
    name = digest(data) + ending
    file = places.source(name)
    with atomic_file(file, overwrite=True) as part:
        part.write_bytes(data)
    try:
        opened, stream = open_container(file, CONTAINERS[ending])
        with opened:  # before anything is decoded; a file may say that it is to be turned
            stated = (stream.height, stream.width)
        if stated[::-1] not in system.sizes:
            system.size(*stated)
        frames, fps = iterate_video(file)
        first = last = next(frames)
        height, width = first.shape[:2]
        system.size(height, width)
        there = 1
        for there, last in enumerate(frames, start=2):  # noqa: B007 (the last one is wanted)
            if there > MOST_FRAMES:
                raise ValueError(f"got a video of more than {MOST_FRAMES} frames; send a shorter one")
    except ValueError as error:
        os.unlink(file)
        raise invalid(str(error).replace(f"cannot read the video {file}: ", ""), "video") from None
    return name, first, last, there, fps


def extension(places: Places, model: Model, asked: Asked, data: bytes, loras: tuple[LoraAsked, ...]) -> New:
    """A video with `asked.seconds` more behind its end, arriving at `asked.last` if there is one."""
    if asked.seconds is None:
        raise invalid("got no seconds; wanted how much longer the video is to be", "seconds")
    name, _, edge, there, fps = source(places, data, model.system)
    try:
        new = frames_in(asked.seconds, fps)
    except ValueError as error:
        raise invalid(str(error), "seconds") from None
    if new > MOST_FRAMES:
        raise invalid(f"got {new} new frames; wanted {MOST_FRAMES} at most", "seconds")
    return _new(
        model, asked, loras, way="extension", video=name, start=edge, goal=None, frames=new, more=there, fps=fps
    )


def edit(
    places: Places,
    model: Model,
    asked: Asked,
    data: bytes,
    loras: tuple[LoraAsked, ...],
    change: Change | None = None,
) -> New:
    """A video made anew from the text, between `asked.first` and `asked.last`: edited ends, or else its own, in which
    `change` may change something."""
    name, first, last, there, fps = source(places, data, model.system)
    if change is not None:
        first, last = change.ends(first, last)
    parts: dict[str, Any] = {"video": name, "start": first, "goal": last, "frames": there, "more": 0, "fps": fps}
    return _new(model, asked, loras, way="edit", **parts)


def planned(task: LongTask, system: Maker, model: Recorded) -> Plan:
    """The clips that a task takes. Raises ValueError for what the model cannot make."""
    asked = task.request
    size = (asked.height, asked.width)
    settings = Call(
        text=asked.prompt,
        length=1,
        size=size,
        fps=asked.fps,
        steps=asked.steps,
        guidance=asked.guidance,
        tau=asked.tau,
        seed=asked.seed,
    )
    start, goal = (None if each is None else each.pixels() for each in (asked.first, asked.last))
    assert start is not None, "a task has the frame that it starts on"
    plan = Plan(model=model, size=size, fps=asked.fps)
    if task.way == "extension":
        plan_extension(plan, system, settings, start, goal, task.frames, backwards=False, keyed=False)
        return plan
    ends = Given(pixels=start, path="first"), None if goal is None else Given(pixels=goal, path="last")
    take = Take(plan=plan, lengths=lengths(system), call=settings, seeds=count(asked.seed), shot=0, shows_start=True)
    chain(take, asked.prompt, *ends, task.frames - 1)
    check_calls(plan, system)
    return plan


def _new(
    model: Model,
    asked: Asked,
    loras: tuple[LoraAsked, ...],
    *,
    way: Literal["extension", "edit"],
    video: str,
    start: Frame,
    goal: Frame | None,
    frames: int,
    more: int,
    fps: float,
) -> New:
    """The job. `more`: frames that are shown besides the new ones."""
    height, width = start.shape[:2]
    own = (asked.first or png(start), asked.last or (None if goal is None else png(goal)))
    whole = replace(asked, first=own[0], last=own[1], seconds=None, frames=None, fps=fps, size=(width, height))
    task = LongTask(way=way, request=checked(model, whole), video=video, frames=frames, loras=loras)
    try:
        plan = planned(task, model.system, Recorded(folder=None, sha256=model.hash))
    except ValueError as error:
        raise invalid(str(error)) from None
    about = {
        "prompt": asked.prompt,
        "model": model.id,
        "frames": frames + more,
        "fps": fps,
        "width": width,
        "height": height,
        "seed": task.request.seed,
        "tau": task.request.tau if task.request.last else None,
        **dict(asked.about),
    }
    return New(task=task, about=about, total=sum(call.steps for call in plan.calls.values()))


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def png(frame: Frame) -> bytes:
    """The file of a frame."""
    data = io.BytesIO()
    Image.fromarray(frame).save(data, format="PNG")
    return data.getvalue()
