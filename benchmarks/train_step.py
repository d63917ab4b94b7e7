"""One training step, forward and backward in float32, of our UNet beside diffusers' UNet3DConditionModel.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/train_step.py --json benchmarks/results/train_step.json

Equal widths, layers, heads and inputs (16 frames of 32 x 32 latents, 77 text tokens), batch 1, dropout off; what still
differs shows in the parameters and FLOPs printed. Time is processor time of one thread, so that other work on the core
counts as little as may be, of interleaved rounds in one process after one that is not counted. Memory is the rise of
the resident set during a first step, gradients included, above the process that holds weights and inputs; each in a
process of its own. Linux only.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rounds
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pixeldance.nets.unet import UNet, UNetConfig

WIDTHS, HEAD_WIDTH, FRAMES, SIZE, CHANNELS, WORDS, TEXT = (64, 128, 256, 256), 64, 16, 32, 4, 77, 1024
Step = Callable[[], None]


def ours(checkpointing: bool = False) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Our network and its forward pass."""
    net = UNet(UNetConfig(channels=CHANNELS, concat=0, tokens=TEXT, widths=WIDTHS, head_width=HEAD_WIDTH))
    net.checkpointing = checkpointing
    x = torch.randn(1, FRAMES, SIZE, SIZE, CHANNELS).permute(0, 1, 4, 2, 3)
    level, tokens = torch.tensor([500.0]), torch.randn(1, WORDS, TEXT)
    return net, lambda: net(x, level, tokens=tokens)


def unet3d(channels: int, widths: tuple[int, ...], text: int, head_width: int, **settings: Any) -> nn.Module:
    """diffusers' network, with heads that are `head_width` wide on all levels, as ours are."""
    from diffusers import UNet3DConditionModel

    # attention_head_dim is the number of heads here, and the same one on all levels: heads of one channel where there
    # are 64. Ours are equally wide on all levels, which is also faster.
    settings = {"attention_head_dim": 8, "in_channels": channels, **settings}
    net = UNet3DConditionModel(block_out_channels=widths, cross_attention_dim=text, **settings).eval()
    return with_heads(net, head_width)


def with_heads(net: nn.Module, head_width: int) -> nn.Module:
    """A network of diffusers with heads of that width in all its attention but what is narrower."""
    for layer in net.modules():
        if type(layer).__name__ == "Attention" and layer.to_q.out_features >= head_width:
            layer.heads, layer.scale = layer.to_q.out_features // head_width, head_width**-0.5
    return net


def theirs() -> tuple[nn.Module, Callable[[], Tensor]]:
    """diffusers' network, in the memory order of its own pipelines, and its forward pass."""
    net = unet3d(CHANNELS, WIDTHS, TEXT, HEAD_WIDTH)
    x = torch.randn(1, CHANNELS, FRAMES, SIZE, SIZE)
    level, tokens = torch.tensor([500.0]), torch.randn(1, WORDS, TEXT)
    return net, lambda: net(x, level, tokens).sample


NETS: dict[str, Callable[[], tuple[nn.Module, Callable[[], Tensor]]]] = {
    "ours": ours,
    "ours, checkpointing": lambda: ours(checkpointing=True),
    "diffusers": theirs,
}


def stepping(net: nn.Module, forward: Callable[[], Tensor]) -> Step:
    def step() -> None:
        net.zero_grad(set_to_none=True)
        forward().square().mean().backward()

    return step


def work(name: str) -> dict[str, float]:
    """Parameters and the FLOPs of a step, attention counted as its matrix products."""
    net, forward = NETS[name]()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        stepping(net, forward)()
    return {"parameters": sum(p.numel() for p in net.parameters()), "gflop": counter.get_total_flops() / 1e9}


def memory_of(name: str) -> float:
    """Bytes above the process before its first step, in this process."""
    step = stepping(*NETS[name]())
    return rounds.memory_rise(step)


def report(names: list[str], count: int) -> dict[str, Any]:
    """All measurements; memory in processes of their own, before this one has done anything."""
    memory = {name: rounds.apart(partial(memory_of, name)) for name in names}
    nets: dict[str, dict[str, Any]] = {name: work(name) | {"memory_bytes": memory[name]} for name in names}
    times = rounds.interleaved({name: stepping(*NETS[name]()) for name in names}, count)
    return {
        **rounds.about(),
        "rounds": count,
        "nets": {name: net | times[name] for name, net in nets.items()},
    }


def table(result: dict[str, Any]) -> str:
    """A line a network; rate and memory are relative to diffusers."""
    base = result["nets"]["diffusers"]
    lines = [
        "| | parameters | GFLOP | processor s, median (range) | rate | rate of the fastest | memory | relative |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, net in result["nets"].items():
        took, reference = net["processor_seconds"], base["processor_seconds"]
        lines.append(
            f"| {name} | {net['parameters'] / 1e6:.1f} M | {net['gflop']:.0f} "
            f"| {statistics.median(took):.2f} ({min(took):.2f} to {max(took):.2f}) "
            f"| {statistics.median(reference) / statistics.median(took):.2f} x | {min(reference) / min(took):.2f} x "
            f"| {net['memory_bytes'] / 2**20:.0f} MiB | {net['memory_bytes'] / base['memory_bytes']:.2f} x |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = report(list(NETS), chosen.rounds)
    rounds.write(chosen.json, result)
    print(table(result))


if __name__ == "__main__":
    main()
