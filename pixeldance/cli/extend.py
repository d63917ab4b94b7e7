"""`pixeldance extend`: a video goes on, forwards or backwards, for some seconds."""

import secrets
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask, models
from pixeldance.cli.film import Shots, make_calls, write_film
from pixeldance.cli.options import (
    AnyBase,
    Background,
    Fit,
    Force,
    Guidance,
    Loras,
    ModelFolder,
    Out,
    Seed,
    Steps,
    Tau,
    Threads,
    Workers,
)

if TYPE_CHECKING:
    import numpy as np


def extend(
    video: Annotated[str, Argument(metavar="VIDEO", help="A video of the model's size, or a folder of PNGs.")],
    seconds: Annotated[
        float, Option(parser=ask.number(0.01, 36_000), metavar="S", help="How much longer, in whole frames.")
    ],
    out: Out,
    text: Annotated[
        str | None, Argument(metavar="[TEXT]", parser=ask.plain, help="What the new part shows; may be left out.")
    ] = None,
    backwards: Annotated[
        bool, Option("--backwards", help="Before the first frame; without --to, the text says what is seen in reverse.")
    ] = False,
    to: Annotated[
        str | None, Option(metavar="IMAGE", help="The frame to arrive at, or with --backwards to come from.")
    ] = None,
    plan: Annotated[
        str, Option(parser=ask.one_of("chain", "pyramid"), metavar="chain|pyramid", help="Clips, or keyframes first.")
    ] = "chain",
    tau: Tau = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    shots: Shots = None,
    model: ModelFolder = None,
    memory: models.MemoryUse = None,
    lora: Loras = None,
    any_base: AnyBase = False,
    workers: Workers = 1,
    threads: Threads = 1,
    fit: Fit = "pad",
    background: Background = "white",
    force: Force = False,
) -> None:
    """Make a video longer, forwards or backwards.

    The new part starts on the video's last frame (basic mode: one image + text) and with --to arrives at another
    (magic mode: two images + text). Clips are kept beside it in NAME.shots, and made again only if they changed.
    """
    (files,) = ask.files(out, 1, sheet=False)
    ask.check_apart([files], [video, *([] if to is None else [to])])
    ask.check([files], force=force)
    loras = [ask.lora(each) for each in lora or ()]
    colour = ask.colour(background)

    import yaml

    from pixeldance.film.calls import Plan
    from pixeldance.film.extend import EDGE, OTHER, Extension, extended
    from pixeldance.film.receipt import model_of
    from pixeldance.film.store import Store
    from pixeldance.image import fit as fitted
    from pixeldance.image import read_image
    from pixeldance.pipeline import SHIPPED
    from pixeldance.video import frames_sha256, iterate_video

    edge, fps = _edge(video, first=backwards)
    ask.check([files], force=force, fps=fps)
    height, width = edge.shape[:2]
    folder = SHIPPED if model is None else models.place(model)
    system = models.described(folder)
    size = system.size(height, width)
    other = None if to is None else fitted(read_image(to, background=colour), size=size, rule=fit)
    asked = Extension(
        extend=video,
        frames_sha256=frames_sha256(iterate_video(video)[0]),
        seconds=seconds,
        text=text or "",
        backwards=backwards,
        to=to,
        by="pyramid" if plan == "pyramid" else "chain",
        steps=system.steps if steps is None else steps,
        guidance=1.0 if text is None else system.guidance if guidance is None else guidance,
        tau=1.0 if tau is None else tau,
        seed=secrets.randbelow(ask.SEEDS) if seed is None else seed,
    )
    wanted = Plan(model=model_of(folder, loras), size=size, fps=fps)
    new = asked.plan(wanted, system, {EDGE: edge} | ({} if other is None else {OTHER: other}))
    store = Store(folder=Path(shots) if shots else files.receipt.with_suffix(".shots"))
    with store.locked():
        took = make_calls(
            wanted, store, folder, loras, any_base=any_base, memory=memory, workers=workers, threads=threads
        )
        write_film(
            files,
            wanted,
            lambda: extended(
                wanted, store, iterate_video(video)[0], backwards=backwards, turned=backwards and other is None
            ),
            made_from=yaml.safe_dump(asked.model_dump(), sort_keys=False, allow_unicode=True),
            seconds=took,
            force=force,
        )
    print(f"{new} new frames, seed {asked.seed}")


def _edge(video: str, *, first: bool) -> "tuple[np.ndarray, float]":
    """The first or last frame of a video, and its rate."""
    from pixeldance.video import iterate_video

    frames, fps = iterate_video(video)
    return (next(frames) if first else deque(frames, maxlen=1)[0]), fps
