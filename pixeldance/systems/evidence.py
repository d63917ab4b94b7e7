"""What each system's experiment found, read from the results in the repository, and the page that says so.

A system's claim is `held`, `failed` or `undecided` by an experiment that was run (experiments/systems/; PixelDance's by
`pixeldance reproduce`), and otherwise `not yet run`: no record counts as shown by being there.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixeldance.reproduce.claims import CLAIMS
from pixeldance.reproduce.run import ended
from pixeldance.systems import PUBLISHED

RESULTS = Path(__file__).parents[2] / "experiments" / "results" / "systems"
NOT_RUN = "not yet run"
VERDICTS = ("held", "failed", "undecided", NOT_RUN)
REPRODUCED = "pixeldance"
"""The system whose claims are those of `pixeldance reproduce`; its results lie in the folder claims/ beside RESULTS."""

TOP = """# Published systems

Each is a value of one file in `pixeldance/systems/`: what the paper changes, as a change of a system that was there
before, and where we deviate. `pixeldance systems` lists them; `pixeldance train --system NAME` trains one at toy size
(8 frames of 32 x 32 pixels of one moving square, a network of 0.4 M parameters), `pixeldance generate --system NAME`
renders with what that left. [How to add one](new_system.md).

**What the evidence is worth.** Each claim is ours, made small for one core, its threshold written before the run.
`held` says that this claim held at this size, on this world, and nothing about the paper's models at theirs. The
95 % interval is a paired bootstrap over seeds and requests. Worlds called closed-form are Gaussian videos whose perfect
denoiser is a formula: there the mathematics of a method is measured against the truth, and no network is involved.

This page is written by `pixeldance systems --markdown > docs/systems.md`.
"""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A result as the experiment wrote it. verdict: held, failed, undecided or not yet run."""

    verdict: str
    found: dict[str, Any]

    @property
    def figures(self) -> str:
        """What was measured, in one line; empty where nothing was."""
        if not self.found:
            return ""
        (ours, one), (theirs, other) = self.found["arms"].items()
        low, high = self.found["interval"]
        gain = f"better by {self.found['difference']:.1%} [{low:.1%}, {high:.1%}]"
        return f"{ours} {one:.4g}, {theirs} {other:.4g}: {gain}, wanted more than {100 * self.found['threshold']:g}%"


def evidence(name: str, results: Path = RESULTS) -> Evidence:
    """What is known of a system."""
    file = results / f"{name}.json"
    found = json.loads(file.read_text()) if file.is_file() else {}
    return Evidence(verdict=found.get("verdict", NOT_RUN), found=found)


def claims(name: str, results: Path = RESULTS) -> list[Evidence]:
    """What is known of each claim of a system: of the first, and of those in files NAME.PART.json."""
    return [evidence(each, results) for each in (name, *(file.stem for file in sorted(results.glob(f"{name}.*.json"))))]


def told(name: str, results: Path = RESULTS) -> str:
    """The verdicts on a system's claims in a line: one by one, or of `REPRODUCED` how many of each there are."""
    if name != REPRODUCED:
        return ", ".join(claim.verdict for claim in claims(name, results))
    count = Counter(_of_largest(by_scale) for by_scale in ended(results.parent / "claims").values())
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS if count[verdict])


def page(results: Path = RESULTS) -> str:
    """docs/systems.md: what every file says of its system, and what was found."""
    parts = [TOP]
    parts.append("| system | evidence |\n|---|---|")
    parts += [f"| [{name}](#{name}) | {told(name, results)} |" for name in PUBLISHED]
    for name, published in PUBLISHED.items():
        found = _claims_of_the_paper(results) if name == REPRODUCED else _each_claim(name, results)
        parts.append(f"\n## {name}\n\n{published.about.strip()}\n\n{_strip(name)}{found}")
    return "\n".join(parts) + "\n"


def _strip(name: str) -> str:
    """The strip of frames of a system, where one was made (experiments/systems/strips.py)."""
    strip = f"pictures/systems/{name}.png"
    return f"![Frames of {name}]({strip})\n\n" if (RESULTS.parents[2] / "docs" / strip).is_file() else ""


def _each_claim(name: str, results: Path) -> str:
    """A paragraph or two for each claim of a system."""
    paragraphs = []
    for claim in claims(name, results):
        paragraphs.append(f"**{_sentence(claim.verdict)}**")
        if found := claim.found:
            measure = f"{_sentence(found['measure'])}, {found['better']} is better: {claim.figures}"
            size = f"{found['seeds']} seeds, {found['requests']} requests"
            paragraphs[-1] += f" {found['claim']}"
            paragraphs.append(f"{measure}; {size}. `{found['command']}`")
    return "\n\n".join(paragraphs)


def _claims_of_the_paper(results: Path) -> str:
    """What `pixeldance reproduce` found: a row for each claim, the scales that were run with their verdicts."""
    known = ended(results.parent / "claims")
    rows = []
    for name, claim in CLAIMS.items():
        found = ", ".join(f"{verdict} ({scale})" for scale, verdict in known[name].items())
        rows.append(f"| `{name}` | {claim.says} | {found or NOT_RUN} |")
    top = (
        f"**{_sentence(told(REPRODUCED, results))}**, where both scales were run by the larger.\n"
        "The paper's claims have a command of their own, `pixeldance reproduce CLAIM --scale toy|quick`\n"
        "([what is compared, and how it is decided](reproduce.md)); the figures of every arm are in\n"
        "[experiments/results/claims](../experiments/results/claims)."
    )
    return "\n".join([top, "", "| claim | says | verdict |", "|---|---|---|", *rows])


def _of_largest(by_scale: dict[str, str]) -> str:
    return next(iter(by_scale.values()), NOT_RUN)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
