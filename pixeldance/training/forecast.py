"""What a training run will take, before it is begun: some of its own steps are done and timed, and nothing is kept.

memory = what this process has + weights x (1 + average + optimiser) + what a pass and its gradients hold at once,
averages, optimiser and gradients being those of the weights that the run trains. The bands are as wide as the
differences found by `benchmarks/forecast_training.py`.
"""

import importlib
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pixeldance.data.stream import Stream
from pixeldance.forecast import DRIFT, GROWTH, Band, Forecast, amount, free_memory, held, spread
from pixeldance.nets import lora
from pixeldance.system import Parts
from pixeldance.training import distributed, saves
from pixeldance.training.freeze import trainable, trained_parts
from pixeldance.training.loop import opened
from pixeldance.training.recipe import Training
from pixeldance.training.state import State
from pixeldance.work import of_pass, stages

ROUNDS = 2
SLOTS = {"adamw": 2, "muon": 1}
"""Tensors that an optimiser keeps beside each weight."""
BESIDE = (0.0, 3e7, 1.5e8)
"""Bytes, low to high, that a run takes besides: kernels when first used, clips, what is written."""


def training(run: Training, clock: Callable[[], float] = time.perf_counter) -> Forecast:
    """What all steps of a run on this one process take, with its checkpoints; its samples and figures come on top.

    Raises ValueError, before anything is made, for a run that does not fit into the memory that is free, and names the
    setting with which it would.
    """
    begin = clock()
    importlib.import_module("torch._dynamo")  # for seconds: every optimiser does, and counting does it before
    loaded = clock() - begin
    before = held()
    memory = before + _memory(run)
    _refuse(run, before, memory)
    with distributed.joined("none", run.device) as world, tempfile.TemporaryDirectory() as folder:
        begin = clock()
        state, stream = State(run, world), opened(run, world)
        started = loaded + clock() - begin
        images = run.steps // run.image_every if run.image_every else 0
        first_image = run.image_every - 1 if images else None
        seconds = Band(low=started * DRIFT[0], likely=started, high=started * DRIFT[1])
        for step, times in ((0 if first_image != 0 else 1, run.steps - images), (first_image, images)):
            if step is not None and times:
                seconds += _steps(state, stream, step, times, run, clock)
        begin = clock()
        saved = saves.save(state, Path(folder))
        save, size = clock() - begin, sum(each.stat().st_size for each in saved.rglob("*") if each.is_file())
    # One at the end, and one whenever so many minutes are over, after a step.
    kept = min(run.steps, 1 + seconds.likely / 60 // run.save_minutes) if run.save_minutes else run.steps
    seconds += Band(low=save * DRIFT[0], likely=save, high=save * DRIFT[1]).times(kept)
    most = min(kept, run.keep + 1)  # the new one is whole before the oldest goes
    return Forecast(
        seconds=seconds,
        memory=memory,
        disk=Band(
            low=0.98 * size * min(kept, run.keep), likely=size * min(kept, run.keep), high=1.05 * size * most + 1e6
        ),
        basis=f"{ROUNDS} steps of each kind; {run.steps} steps, {images} of them on images, {kept:.0f} checkpoints",
    )


def _steps(state: State, stream: Stream, step: int, times: int, run: Training, clock: Callable[[], float]) -> Band:
    """Seconds of so many steps of the kind of `step`; the first of a kind takes longer than those behind it."""
    tries = list[float]()
    for _ in range(ROUNDS + 1):
        state.counts.step = step
        begin = clock()
        pieces = [
            [stream.read(ask) for ask in stream.asks(step, part, run.accumulate)] for part in range(run.accumulate)
        ]
        read = clock() - begin
        begin = clock()
        state.update(stream, pieces)
        done = clock() - begin
        # Processes that read do so while this one computes.
        tries.append(max(done, read / run.workers) if run.workers else done + read)
    return spread(tries[:1]) + spread(tries[1:]).times(times - 1)


def _memory(run: Training, accumulate: int | None = None, checkpointing: bool | None = None) -> Band:
    """Bytes at the peak on top of what the process has, from shapes alone."""
    parts = _parts(run)
    everything = 4.0 * sum(each.numel() for each in parts.parameters())
    trained = 4.0 * sum(each.numel() for each in parts.parameters() if each.requires_grad)
    kept = everything + trained * (1 + SLOTS[run.optimiser])
    pieces = run.accumulate if accumulate is None else accumulate
    text = any(each.requires_grad for each in parts.text.parameters())
    kinds = [(run.system.frames[0], run.batch), *([(1, run.image_batch)] if run.image_every else [])]
    passes = list[float]()
    for net, stage in zip(parts.unets, stages(run.system), strict=True):
        net.checkpointing = run.checkpointing if checkpointing is None else checkpointing
        for frames, batch in kinds:
            net.zero_grad(set_to_none=True)
            of_piece = math.ceil(batch / pieces)
            size = stage.sizes[0]
            found = of_pass(net, stage, frames, size, batch=of_piece, backward=True, text=text, pieces=pieces)
            passes.append(found.live)
    # The optimiser has the gradients and as much again; where a checkpoint is written a LoRA is merged into copies.
    live = max(*passes, 2 * trained, everything + trained if run.lora else 0.0)
    return Band(
        low=0.9 * kept + GROWTH[0] * live + BESIDE[0],
        likely=kept + 1.15 * live + BESIDE[1],
        high=1.2 * kept + GROWTH[1] * live + BESIDE[2],
    )


def _parts(run: Training) -> Parts:
    """The networks without memory, those weights wanting gradients that the run trains."""
    with torch.device("meta"):
        parts = Parts(run.system)
    if run.lora is None:
        trainable(trained_parts(parts), run.train)
    else:
        lora.attach(parts, run.lora, torch.Generator())
    return parts


def _refuse(run: Training, before: Band, memory: Band) -> None:
    """Raise ValueError where not even the lower end of the band is free, naming what would be."""
    on_card = torch.device(run.device).type == "cuda"
    room = torch.cuda.mem_get_info(run.device)[0] if on_card else free_memory() + before.likely
    if memory.low <= room:
        return
    message = f"got a run that takes {amount(memory.low)} of memory or more, and {amount(room)} are free"
    if not run.checkpointing and (before + _memory(run, checkpointing=True)).likely <= room:
        raise ValueError(f"{message}; checkpointing=True would fit, at about a third more time")
    shares = [n for n in range(run.accumulate + 1, run.batch + 1) if run.batch % n == 0 and run.image_batch % n == 0]
    for pieces in shares:
        if (before + _memory(run, pieces, True)).likely <= room:
            raise ValueError(f"{message}; accumulate={pieces} with checkpointing=True would fit")
    raise ValueError(f"{message}; no division of its batch fits: use a smaller network, or {amount(memory.likely)}")
