"""One training step, forward and backward in float32, of our UNet beside diffusers' UNet3DConditionModel.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/train_step.py --json benchmarks/results/train_step.json

Equal widths, layers, heads and inputs (16 frames of 32 x 32 latents, 77 text tokens), batch 1, dropout off; what still
differs shows in the parameters and FLOPs printed. Time is processor time of one thread, so that other work on the core
counts as little as may be, of interleaved rounds in one process after one that is not counted. Memory is the rise of
the resident set during a first step, gradients included, above the process that holds weights and inputs; each in a
process of its own. Linux only.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def peak_memory(name: str) -> float:
    """Bytes above the process before its first step, in this process."""
    step = stepping(*NETS[name]())
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def seconds(names: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(processor seconds, seconds) of each step, interleaved."""
    steps = {name: stepping(*NETS[name]()) for name in names}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name, step in steps.items():
            processor, wall = time.process_time(), time.perf_counter()
            step()
            took = time.process_time() - processor, time.perf_counter() - wall
            print(f"round {number}, {name}: {took[0]:.2f} s of processor time, {took[1]:.2f} s", file=sys.stderr)
            if number:
                found[name].append(took)
    return found


def report(names: list[str], rounds: int) -> dict[str, Any]:
    """All measurements; memory and FLOPs in processes of their own."""

    def apart(what: str, name: str) -> Any:
        command = [sys.executable, __file__, "--only", what, name]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    result: dict[str, Any] = {"torch": torch.__version__, "processor": _processor(), "rounds": rounds, "nets": {}}
    for name in names:
        result["nets"][name] = apart("work", name) | {"memory_bytes": apart("memory", name)}
    for name, took in seconds(names, rounds).items():
        processor, wall = zip(*took, strict=True)
        result["nets"][name] |= {"processor_seconds": processor, "wall_seconds": wall}
    return result


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


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
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "NET"), help="work or memory of one network, as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if chosen.only:
        what, name = chosen.only
        print(json.dumps({"work": work, "memory": peak_memory}[what](name)))
        return
    result = report(list(NETS), chosen.rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
