"""`pixeldance generate`: from a request to clips, their contact sheets and their receipts."""

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask
from pixeldance.cli.workers import render_all

if TYPE_CHECKING:
    import numpy as np

    from pixeldance.receipt import Receipt

MOST_CLIPS, MOST_PROCESSES = 10_000, 256

# Click shows the defaults that are known before a model is; these are the model's.
OWN = "  [default: the model's own]"

Text = Annotated[str, Argument(metavar="TEXT", parser=ask.plain, help="What the video shows, in plain English.")]
Out = Annotated[
    str, Option("--out", "-o", metavar="FILE", help="out.mp4, .mkv (lossless), .gif, .webp, or frames/ for PNGs.")
]
First = Annotated[str | None, Option(metavar="IMAGE", help="First frame; without one, the text makes it.")]
Last = Annotated[str | None, Option(metavar="IMAGE", help="Last frame: a picture, or a rough drawing of it.")]
Tau = Annotated[
    float | None,
    Option(parser=ask.number(0, 1), metavar="0..1", help="How far the last frame leads the way.  [default: 1]"),
]
TauSteps = Annotated[int | None, Option(parser=ask.whole(0, 1000), metavar="N", help="The same as a number of steps.")]
Steps = Annotated[int | None, Option(parser=ask.whole(1, 1000), metavar="N", help="Sampling steps." + OWN)]
Guidance = Annotated[
    float | None, Option(parser=ask.number(0, 100), metavar="X", help="How much the text leads." + OWN)
]
Seed = Annotated[
    int | None,
    Option(parser=ask.whole(0, ask.SEEDS - 1), metavar="N", help="Same seed, same bytes.  [default: drawn and told]"),
]
Frames = Annotated[int | None, Option(parser=ask.whole(1, 10**12), metavar="N", help="Length." + OWN)]
Fps = Annotated[float | None, Option(parser=ask.number(0.1, 240), metavar="X", help="Frames per second." + OWN)]
Size = Annotated[str | None, Option(metavar="WxH", help="Width x height in pixels." + OWN)]
ModelFolder = Annotated[
    str | None, Option("--model", metavar="DIR", help="A checkpoint.  [default: the model that ships]")
]
Count = Annotated[
    int, Option(parser=ask.whole(1, MOST_CLIPS), metavar="N", help="Clips out-1, out-2, ... with seeds s, s+1, ...")
]
Workers = Annotated[
    int, Option(parser=ask.whole(1, MOST_PROCESSES), metavar="N", help="Processes for --count; the same bytes.")
]
Threads = Annotated[
    int, Option(parser=ask.whole(1, MOST_PROCESSES), metavar="N", help="Threads of each; others round otherwise.")
]
Fit = Annotated[
    str, Option(parser=ask.one_of("pad", "crop"), metavar="pad|crop", help="Pictures of another shape: bars, or cut.")
]
Background = Annotated[str, Option(metavar="COLOUR", help="What shows where a picture is transparent.")]
Sheet = Annotated[bool, Option("--sheet", help="Also out-sheet.png: all frames in one picture.")]
Force = Annotated[bool, Option("--force", help="Overwrite what is there.")]


def generate(
    text: Text,
    out: Out,
    first: First = None,
    last: Last = None,
    tau: Tau = None,
    tau_steps: TauSteps = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    frames: Frames = None,
    fps: Fps = None,
    size: Size = None,
    model: ModelFolder = None,
    count: Count = 1,
    workers: Workers = 1,
    threads: Threads = 1,
    fit: Fit = "pad",
    background: Background = "white",
    sheet: Sheet = False,
    force: Force = False,
) -> None:
    """Make a video from a text, a first and a last frame.

    Beside it lies its receipt, out.json, from which `pixeldance verify` can make it again.
    """
    # All is checked before anything is rendered, and what is quick to check before what is slow to import.
    if tau is not None and tau_steps is not None:
        raise ValueError(f"got --tau {tau} and --tau-steps {tau_steps}; give one of them")
    start = secrets.randbelow(2**32) if seed is None else seed
    if start + count > ask.SEEDS:
        raise ValueError(f"got --seed {start} with --count {count}; wanted all seeds below 2^32: choose a smaller one")
    width, height = (None, None) if size is None else ask.size(size)
    colour = ask.colour(background)
    wanted = ask.files(out, count, sheet)
    ask.check_apart(wanted, [path for path in (first, last) if path is not None])
    ask.check(wanted, force=force, fps=fps)

    from pixeldance.image import read_image

    pixels = [None if path is None else read_image(path, background=colour) for path in (first, last)]

    import numpy as np
    import torch
    from tqdm import tqdm

    from pixeldance import checkpoint
    from pixeldance.instruction import FIRST, LAST
    from pixeldance.pipeline import SHIPPED, instruct, load
    from pixeldance.receipt import Picture, Receipt, Request

    folder = SHIPPED if model is None else Path(model).absolute()
    system = checkpoint.read_system(folder)
    asked = instruct(system, text, *pixels, num_frames=frames, height=height, width=width, fit_rule=fit)
    height, width = asked.size or system.sizes[0]
    request = Request(
        prompt=text,
        first=None if first is None else Picture.of(np.asarray(asked.frames[FIRST]), first),
        last=None if last is None else Picture.of(np.asarray(asked.frames[LAST]), last),
        fit=fit,
        background=background,
        frames=asked.length,
        width=width,
        height=height,
        fps=system.fps if fps is None else fps,
        steps=system.steps if steps is None else steps,
        guidance=system.guidance if guidance is None else guidance,
        tau=1.0 if tau is None else tau,
        tau_steps=tau_steps,
        seed=start,
    )
    request.sampling()
    ask.check(wanted, force=force, fps=request.fps)

    torch.set_num_threads(threads)
    pipeline = load(folder)
    unknown = pipeline.unknown_words(text)
    if unknown:
        print(
            f"Warning: this model does not know these words and leaves them out: {', '.join(unknown)}", file=sys.stderr
        )
    requests = [request.model_copy(update={"seed": start + index}) for index in range(count)]
    told = [""] * count
    with tqdm(total=count * request.steps, unit="step", disable=None, leave=False) as bar:
        for index, video, seconds in render_all(pipeline, requests, workers, bar.update):
            receipt = Receipt.of(wanted[index].clip, video, requests[index], pipeline, seconds)
            _write(wanted[index], video, receipt, force)
            told[index] = f"{len(video)} frames of {width}x{height}, seed {start + index}, {seconds:.1f} s"
    for each, note in zip(wanted, told, strict=True):
        print(f"{each.clip}: {note}")
        for path in each.beside():
            print(path)


def _write(files: ask.Files, video: "np.ndarray", receipt: "Receipt", force: bool) -> None:
    """All files of a clip, or none of them: the others are complete before the first one gets its name."""
    from PIL import Image

    from pixeldance.atomic import atomic_file
    from pixeldance.sheet import contact_sheet
    from pixeldance.video import write_video

    asked = receipt.request
    with ExitStack() as stack:
        stack.enter_context(atomic_file(files.receipt, overwrite=force)).write_text(receipt.text(), encoding="utf-8")
        if files.sheet:
            first, last = (None if picture is None else picture.pixels() for picture in (asked.first, asked.last))
            picture = contact_sheet([(asked.prompt, video)], first=first, last=last)
            part = stack.enter_context(atomic_file(files.sheet, overwrite=force))
            Image.fromarray(picture).save(part, format="PNG")
        write_video(files.clip, video, fps=asked.fps, overwrite=force)
