"""`pixeldance generate`: from a request to clips, their contact sheets and their receipts."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Exit

from pixeldance.cli import ask, models
from pixeldance.cli.options import (
    TRIES,
    AnyBase,
    Background,
    BestOf,
    Camera,
    Count,
    End,
    First,
    Fit,
    Force,
    Fps,
    Frames,
    Guidance,
    Last,
    Loras,
    ModelFolder,
    OnRay,
    OutIfAny,
    Rows,
    Seed,
    Sheet,
    Size,
    Steps,
    Tau,
    TauSteps,
    TextIfAny,
    Threads,
    Tries,
    Until,
    Workers,
)
from pixeldance.cli.plan import foretell
from pixeldance.cli.requested import requested
from pixeldance.cli.systems import SystemName, trained
from pixeldance.cli.tries import kept
from pixeldance.cli.write import write_clip
from pixeldance.film.camera import said

if TYPE_CHECKING:
    from pixeldance.metrics.choose import Condition


def generate(
    text: TextIfAny = None,
    out: OutIfAny = None,
    jobs: Rows = None,
    camera: Camera = None,
    first: First = None,
    last: Last = None,
    tau: Tau = None,
    end: End = None,
    tau_steps: TauSteps = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    frames: Frames = None,
    fps: Fps = None,
    size: Size = None,
    model: ModelFolder = None,
    memory: models.MemoryUse = None,
    first_from_text: models.FirstFromText = None,
    system_name: SystemName = None,
    lora: Loras = None,
    any_base: AnyBase = False,
    count: Count = 1,
    best_of: BestOf = None,
    until: Until = None,
    tries: Tries = None,
    workers: Workers = 1,
    ray: OnRay = False,
    threads: Threads = 1,
    fit: Fit = "pad",
    background: Background = "white",
    sheet: Sheet = False,
    force: Force = False,
) -> None:
    """Make a video from a text, a first and a last frame.

    Basic mode: one image + text. Magic mode: two images + text. Beside the clip lies its receipt, out.json, from which
    `pixeldance verify` can make it again. With --best-of and --until the director's meter chooses: the fewest faults,
    and among those with equally few the one whose worst reading is farthest from its limit. `pixeldance meter` shows
    readings and limits; the receipt has those of every try. Exit code 1: no try met the condition; the best is kept.
    """
    if jobs is not None:
        from pixeldance.cli.rows import render_rows

        _check_alone(text, out, camera, first, last, tau, end, tau_steps, steps, guidance, frames, fps, size, memory)
        _check_alone(first_from_text, system_name, best_of, until, tries, None if count == 1 else count)
        render_rows(
            jobs,
            model=model,
            loras=[ask.lora(each) for each in lora or ()],
            any_base=any_base,
            seed=seed or 0,
            workers=workers,
            on_ray=ray,
            threads=threads,
            fit=fit,
            background=background,
            sheet=sheet,
            force=force,
        )
        return
    if text is None or out is None:
        raise ValueError(f"got no {'TEXT' if text is None else '--out'}; wanted TEXT and --out FILE, or --jobs FILE")
    # All is checked before anything is rendered, and what is quick to check before what is slow to import.
    if tau is not None and tau_steps is not None:
        raise ValueError(f"got --tau {tau} and --tau-steps {tau_steps}; give one of them")
    if end is not None and (tau is not None or tau_steps is not None or last is None):
        raise ValueError(f"got --end {ask.shown(end)}; it needs --last, and takes the place of --tau and --tau-steps")
    if system_name is not None and model is not None:
        raise ValueError(f"got --system {system_name} and --model {model}; give one of them")
    if first_from_text is not None and first is not None:
        raise ValueError(f"got --first {ask.shown(first)} and --first-from-text; give one of them")
    text = said(text, camera)
    condition, per_clip = _choosing(best_of, until, tries, first=first or first_from_text, last=last)
    if condition is not None and (workers > 1 or ray):
        told = "--ray" if ray else f"--workers {workers}"
        raise ValueError(f"got {told} with --until, which makes one try after the other; leave it out")
    start = secrets.randbelow(ask.SEEDS - count * per_clip + 1) if seed is None else seed
    if start + count * per_clip > ask.SEEDS:
        of = f" of {per_clip} tries" if per_clip > 1 else ""
        raise ValueError(
            f"got --seed {start} with --count {count}{of}; wanted all seeds below 2^32: choose a smaller one"
        )
    width, height = (None, None) if size is None else ask.size(size)
    colour = ask.colour(background)
    loras = [ask.lora(each) for each in lora or ()]
    wanted = ask.files(out, count, sheet)
    ask.check_apart(wanted, [path for path in (first, last) if path is not None])
    ask.check(wanted, force=force, fps=fps)

    from pixeldance.image import read_image

    pixels = [None if path is None else read_image(path, background=colour) for path in (first, last)]
    given = [None if path is None else (path, Path(path).read_bytes()) for path in (first, last)]

    import torch
    from tqdm import tqdm

    from pixeldance.pipeline import SHIPPED
    from pixeldance.receipt import Receipt

    if system_name is not None:
        model = str(trained(system_name))
    folder = SHIPPED if model is None else models.place(model)
    if end is not None:
        from pixeldance.metrics import calibration

        tau = calibration.tau_of(end, folder)
    system = models.described(folder)
    if first_from_text is not None:
        from pixeldance.engines.still import still

        height, width = system.size(height, width)
        pixels[0] = drawn = still(models.place(first_from_text), text, height=height, width=width, seed=start)
        given[0] = first_from_text, drawn.tobytes()
    request = requested(
        system,
        text,
        (pixels[0], pixels[1]),
        (given[0], given[1]),
        frames=frames,
        size=(width, height),
        fit=fit,
        background=background,
        fps=fps,
        steps=steps,
        guidance=guidance,
        tau=tau,
        tau_steps=tau_steps,
        seed=start,
    )
    height, width = request.height, request.width
    if per_clip > 1 and request.frames < 2:
        raise ValueError("got a clip of 1 frame to choose; wanted --frames 2 or more: the meter reads what moves")
    ask.check(wanted, force=force, fps=request.fps)

    torch.set_num_threads(threads)
    pipeline = models.opened(folder, memory, workers)
    models.dress(pipeline, loras, any_base=any_base, texts=[text])
    if not ray:
        foretell(pipeline, request, count * per_clip, workers, Path(out))
    firsts = range(start, start + count * per_clip, per_clip)
    clips = [[request.model_copy(update={"seed": one}) for one in range(low, low + per_clip)] for low in firsts]
    notes, missed = [""] * count, list[int]()
    with tqdm(total=count * per_clip * request.steps, unit="step", disable=None, leave=False) as bar:
        for index, clip in kept(pipeline, clips, condition, workers, bar.update, on_ray=ray):
            files, seed, choice = wanted[index], clip.request.seed, clip.choice
            receipt = Receipt.of(files.clip, clip.video, clip.request, pipeline, clip.seconds, choice)
            pictures = clip.request.first, clip.request.last
            write_clip(files, clip.video, receipt, [(text, clip.video)], pictures, fps=request.fps, force=force)
            of = f" of {choice.tries[0].seed} to {choice.tries[-1].seed}" if choice else ""
            notes[index] = f"{len(clip.video)} frames of {width}x{height}, seed {seed}{of}, {clip.seconds:.1f} s"
            if choice is not None and choice.met is False:
                missed.append(index)
    for files, note in zip(wanted, notes, strict=True):
        print(f"{files.clip}: {note}")
        for path in files.beside():
            print(path)
    for index in missed:
        print(f"{wanted[index].clip}: none of {per_clip} tries has {condition}; the best is kept", file=sys.stderr)
    if missed:
        raise Exit(1)


def _check_alone(*about_one_clip: object) -> None:
    """Raise ValueError for options about one clip, which rows have in themselves."""
    given = [ask.shown(str(each)) for each in about_one_clip if each is not None]
    if given:
        raise ValueError(
            f"got {', '.join(given)} with --jobs, whose rows say what each clip is; wanted it in them, or no --jobs"
        )


def _choosing(
    best_of: int | None, until: str | None, tries: int | None, *, first: str | None, last: str | None
) -> tuple["Condition | None", int]:
    """The condition, if there is one, and how many tries each clip has at most."""
    if best_of is not None and until is not None:
        raise ValueError(f"got --best-of {best_of} and --until {ask.shown(until)}; give one of them")
    if until is None:
        if tries is not None:
            raise ValueError(f"got --tries {tries} without --until; give a condition, or --best-of {tries}")
        return None, best_of or 1

    from pixeldance.metrics.choose import NEEDS, condition

    asked = condition(until)
    for name, _, _ in asked.parts:
        need = NEEDS.get(name)
        if need is not None and {"first": first, "last": last}[need] is None:
            raise ValueError(f"got --until {asked}, and {name} is only read where a frame is asked for: give --{need}")
    return asked, tries or TRIES
