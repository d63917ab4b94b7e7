"""`pixeldance sweep`: one request over several values of tau, in one labelled contact sheet."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from pixeldance.cli import ask, models
from pixeldance.cli.options import (
    AnyBase,
    Background,
    First,
    Fit,
    Force,
    Frames,
    Guidance,
    Loras,
    ModelFolder,
    Seed,
    Size,
    Steps,
    Text,
    Threads,
)

if TYPE_CHECKING:
    import numpy as np

MOST = 101  # values of tau: more than any grid has cuts


def sweep(
    text: Text,
    last: Annotated[str, Option(metavar="IMAGE", help="Last frame: a picture, or a rough drawing of it.")],
    out: Annotated[Path, Option("--out", "-o", metavar="FILE", help="The contact sheet: sheet.png.")],
    taus: Annotated[str, Option(metavar="T,T,...", help="The values of tau, each 0 to 1.")] = "0,0.25,0.5,0.75,1",
    late: Annotated[bool, Option("--late", help="Also the last frame in the last part of the way instead.")] = False,
    first: First = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    frames: Frames = None,
    size: Size = None,
    model: ModelFolder = None,
    memory: models.MemoryUse = None,
    lora: Loras = None,
    any_base: AnyBase = False,
    threads: Threads = 1,
    fit: Fit = "pad",
    background: Background = "white",
    force: Force = False,
) -> None:
    """Render one request over tau into one contact sheet.

    All rows have one seed. Above each stand the similarity of its end to the last frame asked for, how much of the way
    there it goes, and its end jump (1 is even): `end_copy`, `landing` and `end_jump` of `pixeldance meter`.
    """
    values = [ask.number(0, 1)(each.strip()) for each in taus.split(",")]
    if len(values) > MOST:
        raise ValueError(f"got {len(values)} values of tau; wanted {MOST} at most")
    start = secrets.randbelow(ask.SEEDS) if seed is None else seed
    width, height = (None, None) if size is None else ask.size(size)
    colour = ask.colour(background)
    loras = [ask.lora(each) for each in lora or ()]

    from pixeldance.atomic import check_file
    from pixeldance.image import SAVE_OPTIONS, read_image, write_image

    check_file(out, overwrite=force)
    if out.suffix.lower() not in SAVE_OPTIONS:
        raise ValueError(f"cannot write {out}: got the ending {out.suffix!r}, know {', '.join(SAVE_OPTIONS)}")
    pixels = [None if path is None else read_image(path, background=colour) for path in (first, last)]

    import numpy as np
    import torch
    from tqdm import tqdm

    from pixeldance.diffusion.noise import generators
    from pixeldance.generate import Sampling
    from pixeldance.instruction import FIRST, LAST
    from pixeldance.pipeline import SHIPPED
    from pixeldance.sheet import contact_sheet

    torch.set_num_threads(threads)
    pipeline = models.opened(SHIPPED if model is None else models.place(model), memory)
    models.dress(pipeline, loras, any_base=any_base, texts=[text])
    asked = pipeline.instruct(text, *pixels, num_frames=frames, height=height, width=width, fit_rule=fit)
    given, goal = (None if each not in asked.frames else np.asarray(asked.frames[each]) for each in (FIRST, LAST))
    assert goal is not None
    rows = []
    ways = [(tau, part) for part in ((False, True) if late else (False,)) for tau in values]
    for tau, part in tqdm(ways, unit="clip", disable=None, leave=False):
        sampling = Sampling(steps=steps, guidance=guidance, tau=tau, late=part)
        video = pipeline.render(asked, generators([start])[0], sampling)
        rows.append((_label(video, given, goal, tau, part), video))
    rows[0] = (f"{text} (seed {start}). {rows[0][0]}", rows[0][1])
    sheet = contact_sheet(rows, first=given, last=goal)
    write_image(out, sheet, overwrite=force)
    for label, _ in rows:
        print(label)
    print(out)


def _label(video: "np.ndarray", first: "np.ndarray | None", last: "np.ndarray", tau: float, late: bool) -> str:
    """What stands above a row."""
    from pixeldance.metrics.meter import meter

    read = meter(video, first, last)
    landing = f"landing {read['landing']:.2f}, " if "landing" in read else ""
    part = "last " if late else ""
    return f"{part}tau {tau:g}: end {read['end_copy']:.1f} dB, {landing}end jump {read['end_jump']:.2f}"
