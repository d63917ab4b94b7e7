"""Four steps instead of ten: a LoRA of the shipped model, distilled from its own walk, and what its clips are worth.

Command:   nice -n 2 python experiments/distill.py --steps 2000          (again to continue; --teacher DIR; --rank 0:
           all weights; --measure: no training, the newest checkpoint of the run)
Cost:      0.65 s of one core of an AMD EPYC (Zen 3) for each clip trained on, a step of 8 thus 5.5 s with its share of
           pictures; 6.5 s for each caption measured, 3.5 s for each clip of the gaps
Expected:  the gap to the teacher's walk halved; of the figures none worse beyond its interval than the teacher's with
           10 steps, and edges or whole frames better than the teacher's with 4
Obtained:  results/distill.json, the third shipped weights, --steps 60 --batch 4 ended after 28 steps, 24 captions,
           6 clips for gaps: 55 % of the gap left (41 to 73). The teacher's 4 steps are level with its 10 (+0.4 to
           +0.8 dB), its 16 deterministic ones 0.4 to 0.7 dB below its 10: what is learned is the worse walk, and the
           student goes there (-0.5 to -0.8 dB against the 4 it began with, edges further off too)

The teacher walks 4 steps of DPM-Solver++ (2M) where the student has one of DDIM (`training.distill`). Its ten ancestral
steps, which are the model's own, cannot be learned by regression: fresh noise leads them somewhere else each time, and
the mean of it is what the network knows already. Clips are of numbers that no other training shows; captions, figures
and the words for a way of sampling are those of `pareto.py`. A gap is the distillation's loss of one clip at one of the
four levels, the teacher's own one step being measured beside the student's.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pareto import Row, figures, measure, sampling, show
from small_pixeldance import WORLD, sharp

from pixeldance import checkpoint
from pixeldance.atomic import atomic_file
from pixeldance.data.encode import encode
from pixeldance.data.toybox.source import Toybox
from pixeldance.diffusion.noise import generators
from pixeldance.metrics.score import interval
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import SHIPPED, Pipeline, load
from pixeldance.system import Parts
from pixeldance.training.distill import Teacher
from pixeldance.training.levels import Discrete
from pixeldance.training.loop import Training, latest, train
from pixeldance.training.objective import loss
from pixeldance.training.recipe import as_made
from pixeldance.training.schedule import Ema

TRAINED_FROM = 2**33  # the first clip of this training, none that other weights have seen
HELD_OUT_FROM = 2**34  # the first clip that gaps are measured on
RESULTS = Path(__file__).parent / "results" / "distill.json"
TEACHERS = ("ancestral10/g1", "ancestral4/g1", "ddim4/g1", "16/g1")  # the last is what the student learns
STUDENT = "ddim4/g1"


def config(teacher: Path = SHIPPED, steps: int = 2_000, rank: int = 16, rate: float = 2e-3, batch: int = 8) -> Training:
    """The recipe of the shipped model's last stage, with the teacher's walk in place of the clips."""
    about = Teacher(model=teacher)
    began = sharp()
    return replace(
        began,
        system=replace(checkpoint.read_system(teacher), steps=about.steps, guidance=1.0, solver="ddim", refiner=None),
        prepare=as_made,
        init=teacher,
        lora=LoRA(rank=rank, alpha=float(rank)) if rank else None,
        data=partial(Toybox, world=WORLD, first=TRAINED_FROM),
        images=partial(Toybox, world=WORLD, frames=1, first=TRAINED_FROM),
        # Where the object is, is not asked: sampling makes no use of the answer.
        objective=replace(began.objective, levels=Discrete(steps=about.steps), teacher=about, locate=0.0),
        steps=steps,
        batch=batch,
        image_batch=4 * batch,
        optimiser="adamw",
        rate=rate,
        weight_decay=0.0,
        warmup=5,
        cooldown=steps // 2,
        ema=Ema(limit=0.98),
        workers=0,
        sample_every=0,
    )


def gaps(parts: Parts, run: Training, n: int) -> list[list[float]]:
    """The loss of n held-out clips, a row for each, at the levels of the steps, from the noisiest on."""
    assert run.objective.teacher is not None
    steps = run.objective.teacher.steps
    source = Toybox(world=WORLD, first=HELD_OUT_FROM, size=parts.system.sizes[0], frames=parts.system.frames[0])
    clips = [source.read(number, np.random.default_rng(0)) for number in range(n)]
    examples = encode(parts.codec, clips, image=False, device=torch.device("cpu"))
    levels = [torch.tensor([step / steps]) for step in range(steps, 0, -1)]
    with torch.no_grad():
        return [
            [loss(parts, run.objective, [example], t, generators([number])).item() for t in levels]
            for number, example in enumerate(examples)
        ]


def apart(student: Sequence[Sequence[float]], teacher: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Mean gaps by level, and the share of the teacher's that is left to the student, with its interval over clips."""
    left = [float(np.sum(mine) / np.sum(own)) for mine, own in zip(student, teacher, strict=True)]
    return {
        "teacher": np.mean(teacher, axis=0).tolist(),
        "student": np.mean(student, axis=0).tolist(),
        "left": float(np.mean(left)),
        "left_interval": interval(left, np.random.default_rng(0)),
        "n": len(left),
    }


def measured(name: str, pipeline: Pipeline, settings: Sequence[str], folder: Path, n: int, minutes: float) -> list[Row]:
    """The rows of one model among those of several; they are kept under its hash."""
    assert pipeline.model_hash is not None
    rows = measure(pipeline, settings, n, minutes, folder / f"{pipeline.model_hash[:12]}.jsonl")
    return [{**row, "setting": f"{name} {row['setting']}"} for row in rows]


def compared(rows: Sequence[Row], base: str) -> dict[str, Any]:
    """The figures of all settings, their differences from those of `base`."""
    settings = list(dict.fromkeys([base, *(row["setting"] for row in rows)]))
    return figures(rows, settings, {each: float(sampling(each.split()[1]).steps) for each in settings})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=SHIPPED, help="a checkpoint; the model that ships")
    parser.add_argument("--steps", type=int, default=2_000, help="of training")
    parser.add_argument("--rank", type=int, default=16, help="of the LoRA; 0 trains all weights of the network")
    parser.add_argument("--rate", type=float, default=2e-3, help="about 2e-4 for all weights")
    parser.add_argument("--batch", type=int, default=8, help="clips; every eighth step is of pictures, 4 x as many")
    parser.add_argument("--measure", action="store_true", help="what is there, without more training")
    parser.add_argument("--n", type=int, default=60, help="captions at most")
    parser.add_argument("--gaps", type=int, default=16, help="held-out clips, 2 or more")
    parser.add_argument("--minutes", type=float, default=12.0, help="begin no clip of a model after so many")
    parser.add_argument("--work", type=Path, default=Path("runs/distill"), help="where run and single figures are kept")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    teacher = load(asked.teacher)
    assert teacher.model_hash is not None
    work = asked.work / teacher.model_hash[:12]
    run, folder = config(asked.teacher, asked.steps, asked.rank, asked.rate, asked.batch), work / f"rank-{asked.rank}"
    final = latest(folder) if asked.measure else train(run, folder)
    if final is None:
        raise ValueError(f"got no checkpoint in {folder}; train it first: without --measure")
    student = load(final)
    gap = apart(gaps(student.parts, run, asked.gaps), gaps(teacher.parts, run, asked.gaps))
    print(f"gap to the teacher's walk, by level: {gap['teacher']} of its own single steps, {gap['student']} now")
    rows = measured("teacher", teacher, TEACHERS, work, asked.n, asked.minutes)
    rows += measured("student", student, [STUDENT], work, asked.n, asked.minutes)
    tables = {base: compared(rows, f"teacher {base}") for base in TEACHERS[:3]}
    trained = {"checkpoint": student.model_hash, **checkpoint.read_config(final)["about"]}
    found = {"teacher": teacher.model_hash, "student": trained, "gap": gap, "against": tables}
    with atomic_file(asked.out, overwrite=True) as part:
        part.write_text(json.dumps(found, indent=1) + "\n")
    for base, table in tables.items():
        print(f"\nagainst the teacher's {base}:\n")
        show(table)


if __name__ == "__main__":
    main()
