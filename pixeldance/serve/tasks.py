"""What a worker is told: the record of a job, checked when it was asked for, and complete."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pixeldance.film.story import Story
from pixeldance.receipt import Request


class Record(BaseModel):
    """Nothing is converted or left out when a task is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LoraAsked(Record):
    """One of the server's LoRAs, by its name, and how much it counts."""

    name: str
    scale: float


class ClipTask(Record):
    """One clip of the model."""

    task: Literal["clip"] = "clip"
    request: Request
    loras: tuple[LoraAsked, ...] = ()


class FilmTask(Record):
    """A film. pictures: by the names that the story calls them, as data URLs."""

    task: Literal["film"] = "film"
    story: Story
    pictures: dict[str, str]
    loras: tuple[LoraAsked, ...] = ()


class LongTask(Record):
    """A video that came with the request, by the name that it is kept under, extended by `frames`, or made anew with so
    many between two ends. request: its text, settings and ends; its length is that of one clip."""

    task: Literal["long"] = "long"
    way: Literal["extension", "edit"]
    request: Request
    video: str
    frames: int
    loras: tuple[LoraAsked, ...] = ()


AnyTask = ClipTask | FilmTask | LongTask
_TASK: TypeAdapter[AnyTask] = TypeAdapter(Annotated[AnyTask, Field(discriminator="task")])


def read_task(text: str) -> AnyTask:
    """The task in a job's request. Those of a store from before there were tasks are requests for a clip."""
    if text.startswith('{"prompt":'):
        return ClipTask(request=Request.model_validate_json(text))
    return _TASK.validate_json(text)
