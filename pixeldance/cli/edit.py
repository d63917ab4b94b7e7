"""`pixeldance edit`: a video's first and last frame are edited, and what lies between is made again."""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask, models
from pixeldance.cli.options import (
    OWN,
    AnyBase,
    Background,
    Fit,
    Force,
    Guidance,
    Loras,
    ModelFolder,
    Out,
    Seed,
    Sheet,
    Size,
    Tau,
    Text,
    Threads,
)
from pixeldance.cli.write import write_clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixeldance.image import Frame

    Editor = Callable[[Frame, Frame], tuple[Frame, ...]]  # makes the edited ends of the first and the last frame

PATIENCE = 120  # seconds for a program to edit a picture


def edit(
    video: Annotated[str, Argument(metavar="VIDEO", help="A video of any size, or a folder of PNGs.")],
    text: Text,
    out: Out,
    first: Annotated[str | None, Option(metavar="IMAGE", help="The first frame as it is to be.")] = None,
    last: Annotated[str | None, Option(metavar="IMAGE", help="The last frame as it is to be.")] = None,
    mask: Annotated[
        str | None, Option(metavar="IMAGE", help="White where the first frame is to be recoloured; soft edges count.")
    ] = None,
    last_mask: Annotated[str | None, Option(metavar="IMAGE", help="The same of the last frame.")] = None,
    colour: Annotated[str | None, Option(metavar="COLOUR", help="What colour: a name, or #ff8800.")] = None,
    paste: Annotated[
        str | None, Option(metavar="IMAGE", help="A PNG to put on both ends, transparency counts.")
    ] = None,
    at: Annotated[str | None, Option(metavar="X,Y", help="Where on the first frame its left upper corner is.")] = None,
    last_at: Annotated[str | None, Option(metavar="X,Y", help="Where on the last frame.  [default: --at]")] = None,
    edit_with: Annotated[
        str | None, Option(metavar="COMMAND", help="A program that reads a PNG and writes another: COMMAND IN OUT.")
    ] = None,
    timeout: Annotated[
        float | None,
        Option(parser=ask.number(0.1, 86_400), metavar="S", help=f"How long it may take.  [default: {PATIENCE}]"),
    ] = None,
    strength: Annotated[
        float | None,
        Option(
            parser=ask.number(0, 1),
            metavar="0..1",
            help="Start from the video's own noise: 0 keeps it, 1 keeps least.  [default: from noise alone]",
        ),
    ] = None,
    source_text: Annotated[
        str, Option(parser=ask.plain, metavar="TEXT", help="What the video shows now, for --strength.")
    ] = "",
    tau: Tau = None,
    steps: Annotated[
        int | None,
        Option(parser=ask.whole(1, 1000), metavar="N", help="Sampling steps; --strength wants more." + OWN),
    ] = None,
    guidance: Guidance = None,
    seed: Seed = None,
    size: Size = None,
    model: ModelFolder = None,
    memory: models.MemoryUse = None,
    lora: Loras = None,
    any_base: AnyBase = False,
    threads: Threads = 1,
    fit: Fit = "pad",
    background: Background = "white",
    sheet: Sheet = False,
    force: Force = False,
) -> None:
    """Edit a video by its ends: give or make an edited first and last frame; the frames between follow.

    A video that is longer than a clip of the model is made as a chain of clips. Beside the result lies its receipt,
    out.json, from which `pixeldance verify` can make it again, with a report: what happened outside of what was edited,
    to the object's path, and to its looks. docs/editing.md says what to expect.
    """
    way = _way(
        {"--first": first, "--last": last},
        {"--mask": mask, "--last-mask": last_mask, "--colour": colour},
        {"--paste": paste, "--at": at, "--last-at": last_at or at},
        {"--edit-with": edit_with},
    )
    if strength is None and source_text:
        raise ValueError(f"got --source-text {ask.shown(source_text)} without --strength, which alone looks at it")
    (files,) = ask.files(out, 1, sheet)
    ask.check_apart([files], [video, *(each for each in (first, last, mask, last_mask, paste) if each is not None)])
    ask.check([files], force=force)
    loras = [ask.lora(each) for each in lora or ()]
    behind, sides = ask.colour(background), (None, None) if size is None else ask.size(size)
    if first is not None and last is not None:
        editor = _given(first, last, behind)
    elif mask is not None and last_mask is not None and colour is not None:
        editor = _recoloured(mask, last_mask, ask.colour(colour, "--colour"))
    elif paste is not None and at is not None:
        editor = _pasted(paste, ask.place(at, "--at"), ask.place(last_at or at, "--last-at"))
    else:
        assert edit_with is not None
        editor = _by_command(edit_with, timeout or PATIENCE)

    from pixeldance.video import read_video

    frames, fps = read_video(video)
    ask.check([files], force=force, fps=fps)
    made = editor(frames[0], frames[-1])

    import torch
    from tqdm import tqdm

    from pixeldance.edit.receipt import EditReceipt, EditRequest, Source, fitted, render_edit
    from pixeldance.edit.report import report
    from pixeldance.film.receipt import model_of
    from pixeldance.image import fit as fit_to
    from pixeldance.pipeline import SHIPPED
    from pixeldance.receipt import Picture, printable
    from pixeldance.video import frames_sha256

    folder = SHIPPED if model is None else models.place(model)
    if strength is not None and models.is_engine(folder):
        raise ValueError(f"got --strength {strength:g} for a pretrained pipeline, which starts from noise alone")
    system = models.described(folder)
    height, width = system.size(sides[1], sides[0])
    pictures = []
    for end, file, name in zip(made, (first, last), ("first", "last"), strict=True):
        fitting = fit_to(end, size=(height, width), rule=fit)
        told = f"the video's {name} frame, {way}"
        pictures.append(Picture.of_bytes(fitting, end.tobytes(), told) if file is None else Picture.of(fitting, file))
    request = EditRequest(
        prompt=text,
        source=Source(
            path=printable(str(Path(video).absolute())), frames_sha256=frames_sha256(frames), frames=len(frames)
        ),
        first=pictures[0],
        last=pictures[1],
        fit=fit,
        background=background,
        width=width,
        height=height,
        fps=fps,
        steps=system.steps if steps is None else steps,
        guidance=system.guidance if guidance is None else guidance,
        tau=1.0 if tau is None else tau,
        seed=secrets.randbelow(ask.SEEDS) if seed is None else seed,
        strength=strength,
        source_text=source_text,
    )
    plan = request.plan(system, model_of(folder, loras))

    torch.set_num_threads(threads)
    pipeline = models.opened(folder, memory)
    models.dress(pipeline, loras, any_base=any_base, texts=[text])
    source, begin = fitted(frames, request), time.perf_counter()
    with tqdm(total=len(plan.calls) * request.steps, unit="step", disable=None, leave=False) as bar:
        result = render_edit(pipeline, request, source, lambda *_: bar.update())
    seconds = time.perf_counter() - begin
    scores = report(source, result, request.first.pixels(), request.last.pixels(), fps)
    figures = {each.name: str(each.because) if each.value is None else each.value for each in scores}
    receipt = EditReceipt.of(files.clip, result, request, pipeline, seconds, figures)
    rows = [("the video", source), (text, result)]
    write_clip(files, result, receipt, rows, (request.first, request.last), fps=fps, force=force)
    clips = "1 clip" if len(plan.calls) == 1 else f"{len(plan.calls)} clips"
    print(f"{files.clip}: {len(result)} frames of {width}x{height} in {clips}, seed {request.seed}, {seconds:.1f} s")
    for path in files.beside():
        print(path)
    for score in scores:
        print(score)


def _way(*ways: dict[str, str | None]) -> str:
    """How the ends are edited, as options; ValueError unless it is exactly one of these ways, with all its options."""
    begun = [way for way in ways if any(value is not None for value in way.values())]
    if len(begun) != 1 or None in begun[0].values():
        got = ", ".join(name for way in begun for name, value in way.items() if value is not None) or "no edit"
        wanted = "; ".join(" ".join(way) for way in ways)
        raise ValueError(f"got {got}; wanted all options of one of these ways: {wanted}")
    return " ".join(f"{name} {value}" for name, value in begun[0].items())


def _given(first: str, last: str, background: tuple[int, int, int]) -> "Editor":
    """Pictures from files in the places of the ends."""
    from pixeldance.image import read_image

    return lambda *_: tuple(read_image(path, background=background) for path in (first, last))


def _recoloured(mask: str, last_mask: str, colour: tuple[int, int, int]) -> "Editor":
    """The ends with a colour where a mask is white."""
    from pixeldance.edit import ends

    masks = [ends.read_mask(path) for path in (mask, last_mask)]
    return lambda *pair: tuple(ends.recoloured(end, each, colour) for end, each in zip(pair, masks, strict=True))


def _pasted(patch: str, *places: tuple[int, int]) -> "Editor":
    """The ends with a picture put on them."""
    from pixeldance.edit import ends

    picture = ends.read_patch(patch)
    return lambda *pair: tuple(ends.pasted(end, picture, *place) for end, place in zip(pair, places, strict=True))


def _by_command(command: str, seconds: float) -> "Editor":
    """The ends as a program of the user's makes them."""
    from pixeldance.edit import ends

    return lambda *pair: tuple(ends.by_command(end, command, seconds=seconds) for end in pair)
