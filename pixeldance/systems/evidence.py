"""What each system's experiment found, read from the results in the repository, and the page that says so.

A system's claim is `held`, `failed` or `undecided` by an experiment that was run (experiments/systems/), and otherwise
`not yet run`: no record counts as shown by being there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixeldance.systems import PUBLISHED

RESULTS = Path(__file__).parents[2] / "experiments" / "results" / "systems"
NOT_RUN = "not yet run"

TOP = """# Published systems

Each is a value of one file in `pixeldance/systems/`: what the paper changes, as a change of a system that was there
before, and where we deviate. `pixeldance systems` lists them; `pixeldance train --system NAME` trains one at toy size
(8 frames of 32 x 32 pixels of one moving square, a network of 0.4 M parameters), `pixeldance generate --system NAME`
renders with what that left. [How to add one](new_system.md).

**What the evidence is worth.** Each claim is ours, made small for one core, its threshold written before the run.
`held` says that this claim held at this size, on this world, and nothing about the paper's models at theirs. The
95 % interval is a paired bootstrap over seeds and requests. Worlds called closed-form are Gaussian videos whose perfect
denoiser is a formula: there the mathematics of a method is measured against the truth, and no network is involved.

PixelDance's own claims have a command of their own, `pixeldance reproduce` ([reproduce](reproduce.md)).

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
        return f"{ours} {one:.4g}, {theirs} {other:.4g}: {gain}, wanted more than {self.found['threshold']:.0%}"


def evidence(name: str, results: Path = RESULTS) -> Evidence:
    """What is known of a system."""
    file = results / f"{name}.json"
    found = json.loads(file.read_text()) if file.is_file() else {}
    return Evidence(verdict=found.get("verdict", NOT_RUN), found=found)


def claims(name: str, results: Path = RESULTS) -> list[Evidence]:
    """What is known of each claim of a system: of the first, and of those in files NAME.PART.json."""
    return [evidence(each, results) for each in (name, *(file.stem for file in sorted(results.glob(f"{name}.*.json"))))]


def page(results: Path = RESULTS) -> str:
    """docs/systems.md: what every file says of its system, and what was found."""
    parts = [TOP]
    known = {name: claims(name, results) for name in PUBLISHED}
    parts.append("| system | evidence |\n|---|---|")
    parts += [f"| [{name}](#{name}) | {', '.join(claim.verdict for claim in each)} |" for name, each in known.items()]
    for name, published in PUBLISHED.items():
        parts.append(f"\n## {name}\n\n{published.about.strip()}")
        for claim in known[name]:
            parts[-1] += f"\n\n**{_sentence(claim.verdict)}**"
            if found := claim.found:
                measure = f"{_sentence(found['measure'])}, {found['better']} is better: {claim.figures}"
                size = f"{found['seeds']} seeds, {found['requests']} requests"
                parts[-1] += f" {found['claim']}\n\n{measure}; {size}. `{found['command']}`"
    return "\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
