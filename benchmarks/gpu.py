"""The paper's network on a CUDA card, in bfloat16: what share of the card's own rate at multiplying it makes use of.

    python benchmarks/gpu.py                             # writes benchmarks/results/gpu.json
    torchrun --nproc-per-node 8 benchmarks/gpu.py        # the step with weights sharded (FSDP2): gpu-8.json
    python benchmarks/gpu.py --device cpu --tiny         # the same code on a tiny network; writes nothing

The rate is measured: products of two large square matrices. Forward: 16 frames of 256 x 256 (32 x 32 latents) in
`systems.PIXELDANCE`'s network and in diffusers' UNet3DConditionModel of the same widths, each as it is and compiled,
weights in bfloat16, interleaved. Step: everything that training does with a batch of latents (text by a frozen encoder
of words of CLIP's width, the weights in float32, autocast, AdamW, the average), with and without checkpointing.

FLOPs are counted, attention as its matrix products; those of a step do not hold what checkpointing computes again, so
that its share is of useful work (model FLOP utilisation). A token is a position of the latents. What does not fit or
fails is told in its place, and the rest goes on.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from train_step import WORDS, unet3d

from pixeldance.codec import PatchConfig
from pixeldance.data.clip import Example
from pixeldance.data.order import ENDLESS
from pixeldance.data.stream import Stream
from pixeldance.nets.text import WordConfig
from pixeldance.nets.unet import UNet
from pixeldance.system import System
from pixeldance.systems import PIXELDANCE
from pixeldance.training import distributed
from pixeldance.training.recipe import Training
from pixeldance.training.state import State

RESULTS = Path(__file__).parent / "results"
Measured = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything is. side: of the latents. matrix: of the product that the rate is measured with. blocks: of
    diffusers' network, on the way down."""

    system: System
    frames: int = 16
    side: int
    matrix: int
    blocks: tuple[str, ...]

    def clips(self) -> "Latents":
        """What is trained on."""
        return Latents(self.frames, self.system.net.channels, self.side)


TEXT = WordConfig(vocabulary=("word",), width=PIXELDANCE.net.tokens, head_width=64, length=WORDS)
PAPER = Scale(
    system=replace(PIXELDANCE, text=TEXT),
    side=32,
    matrix=8192,
    blocks=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
)
TINY = Scale(
    system=replace(
        PAPER.system,
        codec=PatchConfig(patch=2, in_channels=1),
        text=replace(TEXT, width=16, head_width=8),
        net=replace(
            PIXELDANCE.net, widths=(8, 16), attention=(True, False), layers=1, tokens=16, head_width=8, groups=4
        ),
    ),
    frames=2,
    side=4,
    matrix=128,
    blocks=("CrossAttnDownBlock3D", "DownBlock3D"),
)


@dataclass(frozen=True)
class Latents:
    """Random latents with a text of as many words as CLIP's has tokens."""

    frames: int
    channels: int
    side: int

    def __len__(self) -> int:
        return ENDLESS

    def name(self, index: int) -> str:
        return f"latents {index}"

    def read(self, index: int, rng: np.random.Generator) -> Example:
        latents = rng.standard_normal((self.frames, self.channels, self.side, self.side), np.float32)
        return Example(text=" ".join(["word"] * (WORDS - 1)), latents=torch.from_numpy(latents))


def timed(steps: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, Measured]:
    """Seconds of each step and its peak of memory in bytes, rounds interleaved, the first two not counted."""
    found: dict[str, Measured] = {name: {"seconds": []} for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            if "failed" in found[name]:
                continue
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
                torch.cuda.synchronize(device)
            began = time.perf_counter()
            try:
                step()
            except RuntimeError as error:  # out of memory, or what a compiler cannot do
                found[name]["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                found[name]["memory"] = torch.cuda.max_memory_allocated(device)
            if number >= 2:
                found[name]["seconds"].append(time.perf_counter() - began)
    return found


def product_rate(scale: Scale, rounds: int, device: torch.device) -> float:
    """FLOP a second of a product of two square matrices in bfloat16, the median."""
    one, other = (torch.randn(scale.matrix, scale.matrix, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed({"product": lambda: one @ other}, rounds, device)["product"]["seconds"]
    return 2 * scale.matrix**3 / statistics.median(seconds)


def counted(step: Callable[[], object]) -> int:
    """The FLOPs of a step."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    return int(counter.get_total_flops())


def forwards(scale: Scale, rounds: int, device: torch.device) -> dict[str, Measured]:
    """Forward passes of one clip in both networks, as they are and compiled."""
    config, dtype = scale.system.net, torch.bfloat16
    ours = UNet(config).to(device, dtype).eval()
    channels = config.channels + config.concat
    heads = config.head_width
    assert isinstance(heads, int)
    theirs = unet3d(
        channels,
        config.widths,
        config.tokens,
        heads,
        out_channels=config.channels,
        layers_per_block=config.layers,
        norm_num_groups=config.groups,
        down_block_types=scale.blocks,
        up_block_types=tuple(name.replace("Down", "Up") for name in reversed(scale.blocks)),
    ).to(device, dtype)
    x = torch.randn(1, scale.frames, scale.side, scale.side, channels, device=device, dtype=dtype).permute(
        0, 1, 4, 2, 3
    )
    noisy, concat = x[:, :, : config.channels], x[:, :, config.channels :]
    level = torch.tensor([500.0], device=device)
    tokens = torch.randn(1, WORDS, config.tokens, device=device, dtype=dtype)
    volume = x.transpose(1, 2).contiguous()
    # Where nothing is timed in earnest the graph is made and run without a compiler.
    backend = "inductor" if device.type == "cuda" else "eager"
    ours_compiled, theirs_compiled = (torch.compile(net, backend=backend) for net in (ours, theirs))
    steps: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(noisy, level, tokens=tokens, concat=concat),
        "ours, compiled": lambda: ours_compiled(noisy, level, tokens=tokens, concat=concat),
        "diffusers": lambda: theirs(volume, level, tokens),
        "diffusers, compiled": lambda: theirs_compiled(volume, level, tokens),
    }
    with torch.inference_mode():
        found = timed(steps, rounds, device)
        for name in found:
            net = ours if name.startswith("ours") else theirs
            found[name]["flops"] = counted(steps[name.partition(",")[0]])
            found[name]["parameters"] = sum(weight.numel() for weight in net.parameters())
    return found


def training(scale: Scale, rounds: int, batch: int, world: distributed.World) -> dict[str, Measured]:
    """Steps of `batch` clips a process, with and without checkpointing, by the code that trains."""
    run = Training(
        system=scale.system,
        data=scale.clips,
        batch=batch * world.size,
        image_every=0,
        precision="bf16",
        parallel="fsdp" if world.size > 1 else "none",
        device=str(world.device),
    )
    state = State(run, world)
    stream = Stream(clips=run.data(), batch=run.batch, image_every=0)
    pieces = [[stream.read(ask) for ask in stream.asks(0, world.rank, world.size)]]

    def stepping(checkpointing: bool) -> None:
        state.parts.net.checkpointing = checkpointing
        state.update(stream, pieces)

    steps: dict[str, Callable[[], object]] = {
        "step": lambda: stepping(False),
        "step, checkpointing": lambda: stepping(True),
    }
    return timed(steps, rounds, world.device)


def step_flops(scale: Scale, device: torch.device) -> int:
    """Of a forward and backward pass of one clip, nothing computed again."""
    run = Training(system=scale.system, data=scale.clips, precision="bf16")
    with torch.random.fork_rng():
        state = State(replace(run, batch=1, image_every=0, device=str(device)), distributed.World(device=device))
    source = run.data()
    clip = source.read(0, np.random.default_rng(0))
    level = torch.tensor([0.5])
    return counted(lambda: state.loss([clip], level, [torch.Generator().manual_seed(0)]).backward())


def report(scale: Scale, rounds: int, batch: int, world: distributed.World) -> Measured:
    """Everything, with the shares worked out."""
    device = world.device
    cuda = device.type == "cuda"
    rate = product_rate(scale, rounds, device)
    useful = step_flops(scale, device)
    result: Measured = {
        "device": torch.cuda.get_device_name(device) if cuda else "processor",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "processes": world.size,
        "rounds": rounds,
        "batch": batch * world.size,
        "product_flops_per_second": rate,
        "forward": forwards(scale, rounds, device) if world.size == 1 else {},
        "training": training(scale, rounds, batch, world),
    }
    for each in result["forward"].values():
        if each["seconds"]:
            each["share_of_product_rate"] = each["flops"] / statistics.median(each["seconds"]) / rate
    for each in result["training"].values():
        if each["seconds"]:
            clips = batch * world.size / statistics.median(each["seconds"])
            each |= {"flops": useful * batch * world.size, "clips_per_second": clips}
            each["tokens_per_second"] = clips * scale.frames * scale.side**2
            each["share_of_product_rate"] = clips * useful / world.size / rate
    return result


def table(result: Measured) -> str:
    """A line a measurement, for README.md."""
    lines = [
        f"{result['device']}, {result['processes']} process(es), batch {result['batch']}; matrix products at "
        f"{result['product_flops_per_second'] / 1e12:.3g} TFLOP/s each",
        "",
        "| | seconds, median (range) | GFLOP | share of the rate | memory | clips/s | tokens/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in (result["forward"] | result["training"]).items():
        took = each["seconds"]
        if not took:
            lines.append(f"| {name} | {each.get('failed', 'not run')} | | | | | |")
            continue
        memory = f"{each['memory'] / 2**30:.1f} GiB" if "memory" in each else ""
        speed = [f"{each[key]:.4g}" if key in each else "" for key in ("clips_per_second", "tokens_per_second")]
        lines.append(
            f"| {name} | {statistics.median(took):.4f} ({min(took):.4f} to {max(took):.4f}) "
            f"| {each['flops'] / 1e9:.4g} | {each['share_of_product_rate']:.1%} | {memory} | {speed[0]} | {speed[1]} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu with --tiny")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to see that all of it runs")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4, help="clips a process in a step")
    parser.add_argument("--json", type=Path, help="where the figures go; results/gpu.json")
    chosen = parser.parse_args()
    if chosen.device == "cpu" and not chosen.tiny:
        sys.exit("got --device cpu; wanted a CUDA card, or --tiny, which measures nothing and shows that the code runs")
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(
            f"this torch ({torch.__version__}) sees no CUDA card, so nothing was measured; run it where there is one "
            "(make demo TORCH=cuda installs the build for it), or see that it runs: --device cpu --tiny"
        )
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    with distributed.joined("fsdp" if several else "none", chosen.device) as world:
        result = report(TINY if chosen.tiny else PAPER, chosen.rounds, chosen.batch, world)
        if not world.main:
            return
    print(table(result))
    if chosen.tiny and chosen.json is None:
        return
    name = f"gpu-{world.size}.json" if several else "gpu.json"
    (chosen.json or RESULTS / name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
