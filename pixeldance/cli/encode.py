"""`pixeldance encode`: the latents of a set in shards, so that training need not make them again and again."""

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from pixeldance.cli import ask
from pixeldance.cli.data import Specs, Workers, spec

OWN = "  [default: the model's own]"


def encode(
    data: Specs,
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Where the shards go; what is there is kept.")],
    model: Annotated[str | None, Option(metavar="DIR", help="Whose codec.  [default: the model that ships]")] = None,
    frames: Annotated[int | None, Option(parser=ask.whole(1, 10_000), metavar="N", help="Length." + OWN)] = None,
    fps: Annotated[
        float | None, Option(parser=ask.number(0.1, 240), metavar="X", help="Frames a second." + OWN)
    ] = None,
    size: Annotated[
        str | None, Option(metavar="WxH,...", help="Pixels; of several, the one nearest in shape." + OWN)
    ] = None,
    shard_size: Annotated[int, Option(parser=ask.whole(1, 10**6), metavar="N", help="Clips in a shard.")] = 1000,
    seed: Annotated[
        int, Option(parser=ask.whole(0, ask.SEEDS - 1), metavar="N", help="Where in each video its clip begins.")
    ] = 0,
    workers: Workers = 0,
    threads: Annotated[int, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads of the codec.")] = 1,
    device: Annotated[str, Option(metavar="NAME", help="Where the codec computes: cpu, cuda, cuda:1.")] = "cpu",
) -> None:
    """Encode a set to latents.

    A clip of each video; `latents:DIR` then is data for training. The same command goes on with what was begun.
    """
    import torch
    from tqdm import tqdm

    from pixeldance import checkpoint
    from pixeldance.data.datasets import open_source
    from pixeldance.data.latents import Encoding, encode_source, fingerprint, quarantined
    from pixeldance.pipeline import SHIPPED

    torch.set_num_threads(threads)
    parts = checkpoint.load(SHIPPED if model is None else Path(model))
    system = parts.system
    sizes = system.sizes[:1] if size is None else tuple(ask.size(each)[::-1] for each in size.split(","))
    _check_fit(sizes, parts.codec.factor)
    frames, fps = frames or system.frames[0], fps or system.fps
    specs = tuple(map(spec, data))
    source = open_source(*specs, frames=frames, fps=fps, size=sizes)
    encoding = Encoding(
        spec=specs,
        clips=len(source),
        frames=frames,
        fps=float(fps),
        sizes=sizes,
        codec=fingerprint(system.codec, parts.codec),
        shard_size=shard_size,
        seed=seed,
    )
    with tqdm(total=len(source), unit="clip", disable=None, leave=False) as bar:
        encode_source(
            source, parts.codec.to(device), out, encoding, workers=workers, device=device, progress=bar.update
        )
    refused = quarantined(out)
    print(f"{out}: {len(source) - len(refused)} clips encoded")
    if refused:
        print(f"{len(refused)} could not be read, see {out}/*.quarantine.jsonl", file=sys.stderr)
        for each in refused[:5]:
            print(f"{each['name']}: {each['reason']}", file=sys.stderr)


def _check_fit(sizes: tuple[tuple[int, ...], ...], factor: int) -> None:
    """Raise ValueError now for what the codec would refuse at the first clip."""
    for height, width in sizes:
        if height % factor or width % factor:
            near = [max(factor, round(side / factor) * factor) for side in (width, height)]
            raise ValueError(
                f"got --size {width}x{height}, and this model's codec takes multiples of {factor}; the nearest is "
                f"{near[0]}x{near[1]}"
            )
