"""What a run tells: log.jsonl with a line a step, quarantine.jsonl with each clip that cannot be read, a bar, and
curves for TensorBoard where they are wanted.

A continued run first cuts off what lies after its checkpoint, so that no step is ever told twice.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pixeldance.training.lines import FIGURES, QUARANTINE, STEPS, append, cut, read
from pixeldance.training.recipe import Training
from pixeldance.training.state import Counts, Update


class Log:
    """The files and the bar of a run that goes on at `counts`."""

    def __init__(self, run: Training, folder: Path, counts: Counts, progress: bool) -> None:
        for name in (STEPS, FIGURES):
            cut(folder / name, counts.step)
        self.run, self.folder = run, folder
        self.known = {line["name"] for line in read(folder / QUARANTINE)}
        self.bar = tqdm(total=run.steps, initial=counts.step, disable=not progress, mininterval=1, unit="step")
        self.curves = _curves(folder, counts.step) if run.tensorboard else None
        self.told = time.monotonic()

    def step(self, update: Update, counts: Counts, names: Iterable[str], waited: float) -> None:
        """One step done. names: of its clips, told where it was skipped. waited: seconds of it spent on waiting for
        data."""
        now = time.monotonic()
        seconds, self.told = now - self.told, now
        line: dict[str, Any] = {
            "step": update.step,
            "kind": update.kind,
            "loss": update.loss,
            "norm": update.norm,
            "rate": update.rate,
            "seconds": round(seconds, 4),
            "waited": round(waited, 4),
            "per_second": round(update.clips / seconds, 3),
            "unreadable": update.unreadable,
        }
        if update.skipped:
            line |= {"skipped": list(names), "seed": self.run.seed}
        if update.skipped or update.step % self.run.log_every == 0:
            append(self.folder / STEPS, line)
            self._draw(line, update.step)
        unreadable = f", {counts.unreadable} unreadable" if counts.unreadable else ""
        self.bar.set_postfix_str(f"loss {update.loss:.3f}{unreadable}", refresh=False)
        self.bar.update()

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """What an evaluation after `step` steps gave; kept under the last of them, to be cut off with it."""
        append(self.folder / FIGURES, {"step": step - 1, **figures})
        self._draw(figures, step)

    def quarantine(self, step: int, unreadable: Iterable[tuple[str, str]]) -> None:
        """Record clips that could not be read, each once."""
        for name, reason in unreadable:
            if name not in self.known:
                self.known.add(name)
                append(self.folder / QUARANTINE, {"name": name, "reason": reason, "step": step})

    def close(self) -> None:
        """No more is told."""
        self.bar.close()
        if self.curves is not None:
            self.curves.close()

    def _draw(self, values: Mapping[str, Any], step: int) -> None:
        if self.curves is not None:
            kind = f"{values['kind']}/" if "kind" in values else "figures/"
            for name, value in values.items():
                if isinstance(value, float):
                    self.curves.add_scalar(kind + name, value, step)


def _curves(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("got tensorboard=True and no tensorboard here; pip install 'pixeldance[train]'") from None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)
