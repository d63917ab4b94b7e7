"""Forward passes in float32 on one thread: our UNet beside three networks of diffusers, two of which it holds.

    OMP_NUM_THREADS=1 python benchmarks/forward.py --json benchmarks/results/forward.json     (--size 16)

UNet3DConditionModel's and UNetSpatioTemporalConditionModel's weights are read into our network by the tables of
`pixeldance/exchange`, so that both sides do the same work on the same numbers; the difference of the outputs is told.
I2VGenXLUNet is compared by counted FLOPs, and so, besides, are those two: diffusers projects the text once a frame and
ours once a video, which is work that only it does. 16 frames of 32 x 32 latents, 77 text tokens, batch 1. Each of
theirs runs as its pipelines leave it and with weights in channels-last order; the better of the two counts. Memory
is the rise of the resident set during a first pass, in a process of its own.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import rounds
import torch
from diffusers import I2VGenXLUNet, UNet3DConditionModel, UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from train_step import CHANNELS, FRAMES, HEAD_WIDTH, SIZE, TEXT, WIDTHS, WORDS, unet3d, with_heads

from pixeldance.exchange import geometry, names
from pixeldance.exchange.weights import taken
from pixeldance.nets.attention import sinusoids
from pixeldance.nets.unet import UNet, UNetConfig

Widths = tuple[int, ...]
Pass = tuple[nn.Module, Callable[[], Tensor]]
NUMBERS = [6.0, 127.0, 0.02]
"""What Stable Video Diffusion is told of a video: rate, motion, noise."""
CODE = 64
"""Width of the code of each."""
PAIRS = {"UNet3D": "ours, as UNet3D", "SVD": "ours, as SVD", "I2VGenXL": "ours, as UNet3D"}
"""Theirs, and the network of ours that is compared with it."""
HELD = ("UNet3D", "SVD")
"""Whose weights ours has."""
WANTED = {"UNet3D": 2.0, "SVD": 1.6, "I2VGenXL": 1.6}
WANTED_MEMORY = 0.6
LAST = ", channels-last"
KINDS = {
    "convolution": ("conv",),
    "linear": ("addmm", "mm", "bmm", "baddbmm"),
    "attention": ("attention",),
    "norm": ("norm",),
    "activation": ("silu", "gelu"),
    "copies and sums": ("copy", "cat", "add", "mul", "sub", "clone", "fill", "sum"),
}


def inputs(size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy latents, text, the latents and the embedding of a picture: the same for all."""
    rng = torch.Generator().manual_seed(1)
    shapes = (1, FRAMES, CHANNELS, size, size), (1, WORDS, TEXT), (1, FRAMES, CHANNELS, size, size), (1, 1, TEXT)
    x, text, picture, embedding = (torch.randn(*shape, generator=rng) for shape in shapes)
    return x, text, picture, embedding


def ours(config: UNetConfig, theirs: nn.Module) -> UNet:
    """Our network with the weights of one of theirs."""
    net = UNet(config).eval()
    net.load_state_dict(taken(names.unet(config), theirs.state_dict(), net.state_dict(), type(theirs).__name__))
    return net


def theirs_3d(widths: Widths, size: int) -> Pass:
    net, (x, text, _, _) = unet3d(CHANNELS, widths, TEXT, HEAD_WIDTH), inputs(size)
    return net, lambda: net(x.transpose(1, 2), torch.tensor([500.0]), text).sample.transpose(1, 2)


def ours_3d(widths: Widths, size: int) -> Pass:
    theirs, (x, text, _, _) = theirs_3d(widths, size)[0], inputs(size)
    read = geometry.unet_config({**dict(theirs.config), "_class_name": UNet3DConditionModel.__name__})
    # with_heads changed how wide theirs are; the first attention over time has one head of all that it has.
    net = ours(replace(read, head_width=HEAD_WIDTH, temporal_start=1), theirs)
    return net, lambda: net(x, torch.tensor([500.0]), tokens=text)


def theirs_video(widths: Widths, size: int) -> Pass:
    net = UNetSpatioTemporalConditionModel(
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        cross_attention_dim=TEXT,
        num_attention_heads=tuple(max(1, width // HEAD_WIDTH) for width in widths),
        addition_time_embed_dim=CODE,
        projection_class_embeddings_input_dim=len(NUMBERS) * CODE,
        num_frames=FRAMES,
    ).eval()
    x, _, picture, embedding = inputs(size)
    both, ids = torch.cat([x, picture], dim=2), torch.tensor([NUMBERS])
    return net, lambda: net(both, torch.tensor(0.5), embedding, ids).sample


def ours_video(widths: Widths, size: int) -> Pass:
    theirs, (x, _, picture, embedding) = theirs_video(widths, size)[0], inputs(size)
    net = ours(
        geometry.video_config({**dict(theirs.config), "_class_name": UNetSpatioTemporalConditionModel.__name__}), theirs
    )
    vector = sinusoids(torch.tensor(NUMBERS), CODE).flatten()[None]
    return net, lambda: net(x, torch.tensor([0.5]), tokens=embedding, concat=picture, vector=vector)


def theirs_i2v(widths: Widths, size: int) -> Pass:
    net = I2VGenXLUNet(block_out_channels=widths, cross_attention_dim=TEXT, attention_head_dim=8).eval()
    net = with_heads(net, HEAD_WIDTH)
    x, text, picture, embedding = inputs(size)
    given = torch.tensor([500.0]), torch.tensor([8]), picture.transpose(1, 2), embedding[:, 0], text
    return net, lambda: net(x.transpose(1, 2), *given).sample.transpose(1, 2)


PASSES: dict[str, Callable[[Widths, int], Pass]] = {
    "UNet3D": theirs_3d,
    "ours, as UNet3D": ours_3d,
    "SVD": theirs_video,
    "ours, as SVD": ours_video,
    "I2VGenXL": theirs_i2v,
}


def made(name: str, widths: Widths, size: int) -> Pass:
    """A network and its pass; the same weights by the same name, whichever process makes it."""
    torch.manual_seed(0)
    plain = name.removesuffix(LAST)
    net, run = PASSES[plain](widths, size)
    for layer in net.modules():
        if plain != name and isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from the stubs
    return net, torch.inference_mode()(run)


def memory_of(name: str, widths: Widths, size: int) -> float:
    """Bytes of a first pass, on top of weights and inputs."""
    run = made(name, widths, size)[1]
    return rounds.memory_rise(run)


def flops(run: Callable[[], Tensor]) -> float:
    """Of a pass, attention counted as its matrix products."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        run()
    return float(counter.get_total_flops())


def shares(run: Callable[[], Tensor]) -> dict[str, float]:
    """Where the processor time of a pass goes, in parts of it."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        run()
    found: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)), "other")
        found[kind] += event.self_cpu_time_total
    total = sum(found.values())
    return {kind: spent / total for kind, spent in sorted(found.items(), key=lambda each: -each[1])}


def compared(beside: Sequence[str], widths: Widths, size: int, count: int) -> dict[str, Any]:
    """All measurements."""
    chosen = [name for name in PASSES if name in beside or name in {PAIRS[each] for each in beside}]
    memory = {name: rounds.apart(partial(memory_of, name, widths, size)) for name in chosen}
    settings = [*chosen, *(f"{name}{LAST}" for name in beside)]
    nets = {name: made(name, widths, size) for name in settings}
    out: dict[str, Tensor] = {}

    def step(name: str) -> Callable[[], None]:
        return lambda: out.update({name: nets[name][1]()})

    times = rounds.interleaved({name: step(name) for name in settings}, count)
    return {
        "on": rounds.about(),
        "widths": widths,
        "size": size,
        "nets": {
            name: {
                "parameters": sum(each.numel() for each in nets[name][0].parameters()),
                "gflop": flops(PASSES[name](widths, size)[1]) / 1e9,
                "memory_bytes": memory[name],
            }
            for name in chosen
        },
        "errors": {
            name: {"largest": float((out[name] - out[PAIRS[name]]).abs().max()), "spread": float(out[name].std())}
            for name in HELD
            if name in beside
        },
        "times": times,
        "shares": {name: shares(nets[name][1]) for name in chosen},
    }


def table(result: dict[str, Any]) -> str:
    """A line a network, and the ratios beside what was wanted."""
    nets, times = result["nets"], result["times"]
    lines = ["| | GFLOP | processor s, median (range) | GFLOP/s | memory |", "|---|---|---|---|---|"]
    for name, each in times.items():
        net, took = nets[name.removesuffix(LAST)], each["processor_seconds"]
        memory = "" if name.endswith(LAST) else f"{net['memory_bytes'] / 2**20:.0f} MiB"
        rate = net["gflop"] / statistics.median(took)
        lines.append(f"| {name} | {net['gflop']:.1f} | {rounds.told(took)} | {rate:.1f} | {memory} |")
    for theirs, mine in PAIRS.items():
        if theirs not in nets:
            continue
        settings = (theirs, f"{theirs}{LAST}", mine)
        one, other, took = (statistics.median(times[name]["processor_seconds"]) for name in settings)
        faster = min(one, other) / took
        if theirs in HELD:
            lines.append(f"{theirs}, time, same weights: {rounds.against(WANTED[theirs], faster)}")
        per_flop = faster / nets[theirs]["gflop"] * nets[mine]["gflop"]
        lines.append(f"{theirs}, time per FLOP: {rounds.against(WANTED[theirs], per_flop)}")
        memory = nets[mine]["memory_bytes"] / nets[theirs]["memory_bytes"]
        lines.append(f"{theirs}, memory: {rounds.against(WANTED_MEMORY, memory, most=True)}")
    lines += [
        f"{name}: outputs differ by {error['largest']:.1e} at most, of a standard deviation of {error['spread']:.2g}"
        for name, error in result["errors"].items()
    ]
    for name, found in result["shares"].items():
        lines.append(f"{name}: " + ", ".join(f"{kind} {share:.0%}" for kind, share in found.items()))
    return "\n".join([*lines, rounds.loads(times)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="channels of the four levels")
    parser.add_argument("--size", type=int, default=SIZE, help="latents along a side")
    parser.add_argument("--beside", nargs="+", choices=PAIRS, default=list(PAIRS), help="which of theirs")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    widths = tuple(chosen.widths)
    result = compared(chosen.beside, widths, chosen.size, chosen.rounds)
    rounds.write(chosen.json, result)
    print(table(result))


if __name__ == "__main__":
    main()
