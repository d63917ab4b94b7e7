"""`pixeldance reproduce`: the paper's claims with their verdicts, and the run of one of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.reproduce.claims import Claim

RESULTS, RUNS = Path("experiments/results/claims"), Path("runs/claims")


def reproduce(
    claim: Annotated[
        str | None,
        Argument(metavar="[CLAIM]", help="Its name, or how some begin (table3); without one, the list of all."),
    ] = None,
    scale: Annotated[
        str,
        Option(parser=ask.one_of("toy", "quick"), metavar="toy|quick", help="How long arms train: 400 or 120 steps."),
    ] = "toy",
    results: Annotated[Path, Option(metavar="DIR", help="Where the verdicts are written and read.")] = RESULTS,
    runs: Annotated[Path, Option(metavar="DIR", help="Where trained arms and their clips are kept.")] = RUNS,
    threads: Annotated[int, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads.")] = 1,
) -> None:
    """Run a claim of PixelDance's paper: held, failed or undecided.

    Every arm of a claim is trained with the same steps, data and seeds, and asked the same; 95 % intervals come from a
    paired bootstrap over seeds and requests. Thresholds are written down first. Again after Ctrl-C or a kill it goes
    on where it was. Exit code 0 whatever comes out.
    """
    from pixeldance.reproduce import run
    from pixeldance.reproduce.claims import CLAIMS

    if claim is None:
        known = run.verdicts(results)
        for name, by_scale in known.items():
            told = ", ".join(f"{verdict} ({each})" for each, verdict in by_scale.items()) or "not run"
            print(f"{name:{max(map(len, known))}}  {told:19}  {CLAIMS[name].says}")
        return

    import sys

    import torch

    torch.set_num_threads(threads)
    for name in [each for each in CLAIMS if each.startswith(f"{claim}-")] or [claim]:
        command = f"pixeldance reproduce {name} --scale {scale}"
        file, found = run.reproduce(
            name, run.SCALES[scale], runs, results, tell=lambda text: print(text, file=sys.stderr), command=command
        )
        print(_as_text(CLAIMS[name], found))
        print(file)


def _as_text(claim: "Claim", found: dict[str, Any]) -> str:
    """The verdict, and a line for each comparison."""
    lines = [f"{found['verdict']}: {claim.says} ({claim.source})"]
    for row in found["comparisons"]:
        low, high = row["interval"]
        sides = f"{row['ours']['mean']:.3g} against {row['theirs']['mean']:.3g}"
        wanted = f"{row['difference']:+.3g} [{low:+.3g}, {high:+.3g}], wanted above {row['threshold']:g}"
        lines.append(f"  {row['verdict']:9}  {row['role']:9}  {row['says']}: {sides}, {wanted}")
    return "\n".join(lines)
