"""Latents decoded a few frames at a time beside all at once: memory over the number of frames, and time.

    OMP_NUM_THREADS=1 python benchmarks/decode.py --json benchmarks/results/decode.json

The codec is the KL autoencoder (arXiv 2112.10752) at small width, 8 x 8 pixels a latent, frames of 128 x 128. "Pieces"
is `Codec.decode_stream`, four frames at a time, each turned to bytes as it comes, which is what writes a film;
"undivided" has the network see all frames together. The bytes of both are compared. Memory is told twice: the most
bytes that tensors held at once, counted, which is the same in every run; and the rise of the resident set during a
first decoding, in processes of their own, in which libraries are read in too and the allocator keeps what was freed:
that one differs from run to run.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rounds
import torch

from pixeldance.codec import Codec, KLConfig, build_codec, to_pixels
from pixeldance.nets.vae import VAEConfig
from pixeldance.work import Live

LENGTHS = (16, 64, 128)
TIMED = 16
SIDE = 16
"""Latents along a side."""
TRIES = 3
"""Processes for each figure of the resident set."""
WANTED_TIME, WANTED_GROWTH = 1.1, 1.05


def codec(frames_at_once: int = 16) -> Codec:
    """The autoencoder with random weights."""
    torch.manual_seed(0)
    return build_codec(KLConfig(vae=VAEConfig(widths=(32, 32, 64, 64), layers=1), frames_at_once=frames_at_once))


def pieces(latents: torch.Tensor) -> Iterator[np.ndarray]:
    """The frames, a few at a time."""
    return (to_pixels(piece[0]) for piece in codec().decode_stream(latents))


@torch.inference_mode()
def divided(frames: int) -> None:
    """Decode in pieces, and let each go."""
    for _ in pieces(latents_of(frames)):
        pass


@torch.inference_mode()
def undivided(frames: int) -> np.ndarray:
    """Decode all at once."""
    return to_pixels(codec(frames_at_once=frames).decode(latents_of(frames))[0])


def latents_of(frames: int) -> torch.Tensor:
    """Random latents of a video."""
    return torch.randn(1, frames, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(frames))


WAYS = {"pieces": divided, "undivided": undivided}


def taken(step: Callable[[], object]) -> dict[str, Any]:
    """The memory of a decoding: what its tensors hold at once, and the rise of the resident set in each try."""
    resident = [rounds.apart(partial(rounds.memory_rise, step)) for _ in range(TRIES)]
    return {"held_bytes": rounds.apart(partial(held, step)), "resident_bytes": resident}


def held(step: Callable[[], object]) -> float:
    """The most bytes that tensors hold at once during a step."""
    with Live() as live:
        step()
    return float(live.peak)


def compared(lengths: Sequence[int], count: int) -> dict[str, Any]:
    """All measurements."""
    cases = {name: {frames: partial(way, frames) for frames in lengths} for name, way in WAYS.items()}
    memory = {name: {frames: taken(step) for frames, step in steps.items()} for name, steps in cases.items()}
    with torch.inference_mode():
        difference = np.abs(np.concatenate(list(pieces(latents_of(TIMED)))).astype(int) - undivided(TIMED))
    return {
        "on": rounds.about(),
        "memory": memory,
        "bytes_that_differ": int(np.count_nonzero(difference)),
        "largest_difference": int(difference.max()),
        "of_bytes": difference.size,
        "times": rounds.interleaved({name: partial(way, TIMED) for name, way in WAYS.items()}, count),
    }


def table(result: dict[str, Any]) -> str:
    """A line for each way and length, and the ratios beside what was wanted."""
    lines = ["| | frames | MiB held | MiB resident |", "|---|---|---|---|"]
    for name, of_length in result["memory"].items():
        for frames, memory in of_length.items():
            resident = rounds.told([each / 2**20 for each in memory["resident_bytes"]], ".0f")
            lines.append(f"| {name} | {frames} | {memory['held_bytes'] / 2**20:.1f} | {resident} |")
    in_pieces, times = list(result["memory"]["pieces"].values()), result["times"]
    ratios = [
        one / other
        for one, other in zip(*(times[name]["processor_seconds"] for name in ("pieces", "undivided")), strict=True)
    ]
    took = [f"{name} {rounds.told(each['processor_seconds'])} s" for name, each in times.items()]
    resident = [statistics.median(each["resident_bytes"]) for each in in_pieces]
    held_grows = rounds.against(WANTED_GROWTH, in_pieces[-1]["held_bytes"] / in_pieces[0]["held_bytes"], most=True)
    grows = rounds.against(WANTED_GROWTH, resident[-1] / resident[0], most=True)
    return "\n".join(
        [
            *lines,
            f"{TIMED} frames: {', '.join(took)}",
            f"time in pieces over undivided, {rounds.told(ratios)}: "
            + rounds.against(WANTED_TIME, statistics.median(ratios), most=True),
            f"held in pieces, most frames over fewest: {held_grows}",
            f"resident in pieces, the same, medians of {TRIES}: {grows}",
            f"{result['bytes_that_differ']} of {result['of_bytes']} bytes differ, by {result['largest_difference']}",
            rounds.loads(times),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="frames, fewest first")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    result = compared(chosen.lengths, chosen.rounds)
    rounds.write(chosen.json, result)
    print(table(result))


if __name__ == "__main__":
    main()
