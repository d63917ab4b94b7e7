"""Forecasts: what is counted without memory is what a real pass does, bands hold, and what cannot fit is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import in_process
from tiny import TINY, random_parts
from tiny_run import RUN
from torch.utils.flop_counter import FlopCounterMode

from pixeldance import checkpoint, forecast, work
from pixeldance.diffusion.noise import generators
from pixeldance.forecast import Band
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import FIRST, Instruction
from pixeldance.nets.lora import LoRA
from pixeldance.nets.unet import UNet
from pixeldance.pipeline import Pipeline
from pixeldance.training import forecast as of_training

SIZE = (32, 32)
EXPERIMENT = Path(__file__).parent / "tiny_run.py"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(random_parts())


def asked(still: bool = False) -> Instruction:
    frames = {} if still else {FIRST: np.zeros((*SIZE, 3), np.uint8)}
    return Instruction(text="a red star", frames=frames, length=4, size=SIZE)


def doors(frames: int) -> dict[str, torch.Tensor]:
    net, side = TINY.net, SIZE[0] // 4
    shapes = {
        "tokens": (TINY.text.length, net.tokens),
        "vector": (net.vector,),
        "concat": (frames, net.concat, side, side),
    }
    mask = torch.ones(1, TINY.text.length, dtype=torch.bool)
    return {name: torch.randn(1, *shape) for name, shape in shapes.items()} | {"mask": mask}


def test_what_is_counted_without_memory_is_what_a_real_pass_does() -> None:
    net = random_parts().net.requires_grad_()
    x, t, given = torch.randn(1, 4, TINY.net.channels, 8, 8), torch.full((1,), 500.0), doors(4)
    with FlopCounterMode(display=False) as flops, work.Live() as live:
        net(x, t, **given).sum().backward()
    found = work.counted(TINY, 4, SIZE, backward=True)
    # torch's counter leaves out the fused attention of the CPU.
    assert flops.get_total_flops() < found.flops < 1.15 * flops.get_total_flops()
    assert found.live == pytest.approx(live.peak, rel=0.1)
    with torch.device("meta"):
        empty = UNet(TINY.net)
    twice = work.of_pass(empty, TINY, 4, SIZE, backward=True, pieces=3)
    net.zero_grad(set_to_none=True)
    with work.Live() as live:
        for _ in range(3):
            net(x, t, **given).sum().backward()
    assert twice.live == pytest.approx(live.peak, rel=0.1)
    assert (twice.flops, twice.live > found.live) == (found.flops, True)
    with torch.no_grad(), work.Live() as live:
        net(x, t, **given)
    forward = work.counted(TINY, 4, SIZE)
    assert forward.live == pytest.approx(live.peak, rel=0.1)
    assert work.counted(TINY, 8, SIZE).flops == pytest.approx(2 * forward.flops, rel=0.1)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(guidance=1.0), Sampling(steps=7, guidance=3.0, interval=(0.5, 1.0)), Sampling(guidance=0.0)],
)
def test_passes_are_what_sampling_asks_for(pipeline: Pipeline, sampling: Sampling) -> None:
    seen = list[int]()
    hook = pipeline.parts.net.register_forward_pre_hook(lambda *_: seen.append(1))
    try:
        generate(pipeline.parts, [asked()], generators([0]), sampling)
    finally:
        hook.remove()
    assert len(seen) == forecast.passes(TINY, sampling, 4)


def test_a_clip_is_foretold(pipeline: Pipeline) -> None:
    """On ticks in the place of seconds: a pass takes one, whatever else the machine does. The peak of memory is counted
    from here, whatever other tests had before."""
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM, says proc(5)
    ticks = [0.0]
    hook = pipeline.parts.net.register_forward_hook(lambda *_: ticks.__setitem__(0, ticks[0] + 1))
    try:
        found = forecast.clips(pipeline, asked(), Sampling(steps=5, guidance=2.0), count=3, clock=lambda: ticks[0])
        stills = forecast.clips(pipeline, asked(still=True), Sampling(steps=5, guidance=1.0), clock=lambda: ticks[0])
    finally:
        hook.remove()
    assert found.seconds.likely == pytest.approx(30)
    assert found.seconds.low < 30 < found.seconds.high
    assert stills.seconds.likely == pytest.approx(10)
    assert found.memory.low <= forecast.peak_memory() <= found.memory.high


def test_what_is_too_long_to_be_tried_is_scaled(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [0.0]

    def tick(net: object, given: tuple[torch.Tensor, ...], out: object) -> None:
        ticks[0] += given[0].shape[1] * given[0].shape[3] ** 2

    long = replace(asked(still=True), length=32)
    monkeypatch.setattr(forecast, "TRY", 1.01 * work.counted(TINY, 8, SIZE).flops)
    hook = pipeline.parts.net.register_forward_hook(tick)
    try:
        told = forecast.clips(
            pipeline, replace(long, frames=asked().frames), Sampling(steps=2, guidance=1.0), clock=lambda: ticks[0]
        )
    finally:
        hook.remove()
    assert "8 frames" in told.basis
    assert told.seconds.likely == pytest.approx(2 * 32 * 64, rel=0.1)


def test_what_cannot_fit_is_refused_with_the_change_that_would(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = Pipeline(random_parts(replace(TINY, frames=(4, 4000), sizes=((32, 32), (2048, 2048)))))
    huge = replace(asked(), length=4000, size=(2048, 2048), frames={})
    with pytest.raises(ValueError, match=r"GiB|TiB.*; 4000 frames of 32x32 \(--frames, --size\) would fit"):
        forecast.clips(larger, huge, Sampling())
    with pytest.raises(ValueError, match=r"make them in \d+ processes"):
        forecast.clips(pipeline, asked(), Sampling(), count=10_000, workers=10_000)
    monkeypatch.setattr(forecast, "free_memory", lambda: -1e12)
    with pytest.raises(ValueError, match="no length and size of this model fits"):
        forecast.clips(pipeline, asked(), Sampling())


def test_a_run_is_foretold_and_leaves_nothing() -> None:
    Path("/proc/self/clear_refs").write_text("5")
    found = of_training.training(replace(RUN, steps=100_000, save_minutes=1e-3, keep=3))
    assert 0 < found.seconds.low < found.seconds.likely < found.seconds.high
    assert found.memory.low <= forecast.peak_memory() <= found.memory.high
    assert found.disk.likely < found.disk.high / (4 / 3)  # a fourth is whole before the oldest of three goes


def test_a_run_of_few_weights_takes_less() -> None:
    """Average, optimiser and gradients are those of what is trained; a LoRA's are little beside the model."""
    whole = replace(RUN, batch=1, image_every=0)
    runs = [whole, replace(whole, train=("net.*temporal*",)), replace(whole, lora=LoRA(rank=1), init=Path("model"))]
    told = [of_training._memory(each) for each in runs]
    weights = 4.0 * sum(each.numel() for each in random_parts(RUN.system).parameters())
    assert told[1].low < told[0].low - 0.9 * weights
    assert told[2].low < told[0].low - 0.9 * weights


def test_a_run_that_cannot_fit_is_refused_with_the_setting_that_would() -> None:
    few = replace(RUN, image_every=0)
    piece = work.counted(RUN.system, RUN.system.frames[0], SIZE, backward=True).live
    batch = 2 * int(1.5 * forecast.free_memory() / piece)
    with pytest.raises(ValueError, match=r"of memory or more, and .* are free; (accumulate=|checkpointing=True)"):
        of_training.training(replace(few, batch=batch, image_batch=batch))


def test_bands_add_up_and_are_said_for_people() -> None:
    sum_of = Band(low=1.0, likely=2.0, high=3.0) + Band(low=60.0, likely=60.0, high=60.0).times(10)
    assert (sum_of.low, sum_of.high) == (601.0, 603.0)
    said = [forecast.duration(each) for each in (1.234, 602.0, 36000.0)] + [forecast.amount(2e9)]
    assert said == ["1.23 s", "10 min", "10 h", "1.86 GiB"]


def test_the_command(capsys: pytest.CaptureFixture[str], pipeline: Pipeline, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "tiny", pipeline.parts)
    code, told, _ = in_process(capsys, "plan", "generate", "--count", 3, "--model", tmp_path / "tiny", "--json")
    assert code == 0
    assert set(json.loads(told)) == {"seconds", "memory", "disk", "basis"}
    code, _, error = in_process(
        capsys, "plan", "generate", "--model", tmp_path / "tiny", "--count", 256, "--workers", 256
    )
    assert code == 2
    assert "(--workers)" in error
    code, told, _ = in_process(capsys, "plan", "train", EXPERIMENT, "steps=4")
    assert code == 0
    assert "4 steps" in told
