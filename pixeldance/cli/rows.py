"""`pixeldance generate --jobs FILE`: many clips, each asked for by a line of JSON, on this machine or on a cluster.

A row has the names of generate's own options: {"text": "a red star moves right", "out": "star.mp4", "seed": 7}. A clip
that is there with a receipt of the same request is kept as it is, and one of which a kill left only the receipt is
made again, so that a list which was interrupted goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixeldance.cli import ask, models
from pixeldance.cli.on_ray import render_on_ray
from pixeldance.cli.requested import requested
from pixeldance.cli.workers import render_all
from pixeldance.cli.write import write_clip
from pixeldance.film.camera import said

if TYPE_CHECKING:
    from pixeldance.image import Colour
    from pixeldance.pipeline import Pipeline
    from pixeldance.receipt import Request
    from pixeldance.system import Maker

MOST_ROWS = 100_000


class Row(BaseModel):
    """What one clip is asked for with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    text: str
    out: str
    camera: str | None = None
    first: str | None = None
    last: str | None = None
    tau: Annotated[float | None, Field(ge=0, le=1)] = None
    tau_steps: Annotated[int | None, Field(ge=0, le=1000)] = None
    steps: Annotated[int | None, Field(ge=1, le=1000)] = None
    guidance: Annotated[float | None, Field(ge=0, le=100)] = None
    seed: Annotated[int | None, Field(ge=0, lt=ask.SEEDS)] = None
    frames: Annotated[int | None, Field(ge=1, le=10**12)] = None
    fps: Annotated[float | None, Field(ge=0.1, le=240)] = None
    size: str | None = None

    def request(self, system: "Maker", seed: int, fit: str, background: str) -> "Request":
        """The whole request for the clip. seed: where the row has none."""
        from pixeldance.image import read_image

        if self.tau is not None and self.tau_steps is not None:
            raise ValueError(f"got tau {self.tau} and tau_steps {self.tau_steps}; give one of them")
        colour: Colour = ask.colour(background)
        first, last = (
            None if path is None else read_image(path, background=colour) for path in (self.first, self.last)
        )
        given = [None if path is None else (path, Path(path).read_bytes()) for path in (self.first, self.last)]
        return requested(
            system,
            said(ask.plain(self.text), self.camera),
            (first, last),
            (given[0], given[1]),
            frames=self.frames,
            size=(None, None) if self.size is None else ask.size(self.size),
            fit=fit,
            background=background,
            fps=self.fps,
            steps=self.steps,
            guidance=self.guidance,
            tau=self.tau,
            tau_steps=self.tau_steps,
            seed=seed if self.seed is None else self.seed,
        )


def render_rows(
    file: str,
    *,
    model: str | None,
    loras: list[tuple[str, float]],
    any_base: bool,
    seed: int,
    workers: int,
    on_ray: bool,
    threads: int,
    fit: str,
    background: str,
    sheet: bool,
    force: bool,
) -> None:
    """Make the clips that the rows of a file ask for. seed: of the first row, if it has none of its own; the second
    row's is one more, and so on.

    Everything is checked before anything is rendered. Raises ValueError, naming the line, for what cannot be made.
    """
    rows = list(read_rows(file))
    wanted = [ask.files(row.out, 1, sheet)[0] for _, row in rows]
    _check_distinct(rows, wanted)

    import torch
    from tqdm import tqdm

    from pixeldance.pipeline import SHIPPED
    from pixeldance.receipt import Receipt

    folder = SHIPPED if model is None else models.place(model)
    system = models.described(folder)
    requests = []
    for index, (line, row) in enumerate(rows):
        with _named(file, line):
            requests.append(row.request(system, (seed + index) % ask.SEEDS, fit, background))
    torch.set_num_threads(threads)
    pipeline = models.opened(folder, None, workers)
    models.dress(pipeline, loras, any_base=any_base, texts=[each.prompt for each in requests])
    todo, again = list[int](), set[int]()
    for index, (line, row) in enumerate(rows):
        if not force and _told(wanted[index].receipt, requests[index], pipeline):
            if wanted[index].whole():
                print(f"{wanted[index].clip}: is there, and kept")
                continue
            if not wanted[index].taken():  # whoever made it was killed before the clip got its name
                again.add(index)
        with _named(file, line):
            ask.check_apart([wanted[index]], [path for path in (row.first, row.last) if path is not None])
            ask.check([wanted[index]], force=force or index in again, fps=requests[index].fps)
        todo.append(index)
    asked, render = [requests[index] for index in todo], render_on_ray if on_ray else render_all
    with tqdm(total=sum(each.steps for each in asked), unit="step", disable=None, leave=False) as bar:
        for number, video, seconds in render(pipeline, asked, workers, bar.update):
            index, request = todo[number], asked[number]
            files = wanted[index]
            receipt = Receipt.of(files.clip, video, request, pipeline, seconds)
            sheet_rows, ends = [(request.prompt, video)], (request.first, request.last)
            write_clip(files, video, receipt, sheet_rows, ends, fps=request.fps, force=force, again=index in again)
            with bar.external_write_mode():
                print(f"{files.clip}: {len(video)} frames, seed {request.seed}, {seconds:.1f} s", flush=True)


def read_rows(file: str) -> Iterator[tuple[int, Row]]:
    """The rows of a file with their lines, counted from 1; empty lines are none. Raises ValueError, naming the line."""
    try:
        lines = Path(file).read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"cannot read the rows {file}: {why}; wanted a line of JSON for each clip") from None
    there = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not 0 < len(there) <= MOST_ROWS:
        raise ValueError(f"got {len(there)} rows in {file}; wanted 1 to {MOST_ROWS}, a line of JSON for each clip")
    for number, line in there:
        try:
            yield number, Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{file}, line {number}: {where + ': ' if where else ''}{first['msg']}") from None


def _check_distinct(rows: list[tuple[int, Row]], wanted: list[ask.Files]) -> None:
    """Raise ValueError where two rows would write the same file."""
    whose: dict[Path, int] = {}
    for (line, _), files in zip(rows, wanted, strict=True):
        for path in (Path(files.clip), *files.beside()):
            other = whose.setdefault(path.absolute(), line)
            if other != line:
                raise ValueError(f"lines {other} and {line} would both write {path}; give each an out of its own")


def _told(receipt: Path, request: "Request", pipeline: "Pipeline") -> bool:
    """Whether there is a receipt that tells of this request and this model."""
    from pixeldance.receipt import Model, read_receipt

    try:
        found = read_receipt(receipt)
    except ValueError:
        return False
    ours = Model.of(pipeline)
    same = [(each.sha256, each.scale) for each in ours.loras] == [(e.sha256, e.scale) for e in found.model.loras]
    return found.request == request and found.model.sha256 == ours.sha256 and same


@contextmanager
def _named(file: str, line: int) -> Iterator[Any]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}, line {line}: {error}") from None
