"""Few steps by distillation: in place of the clean clip and its noise, the loss takes the pair of a teacher's walk.

The teacher walks from x_t in many steps of a deterministic solver to x_u, where one step of the student is to end. A
step of DDIM keeps to the line through both, and ends there if, and only if, its x0 and eps are those of this line:

    alpha_t x0 + sigma_t eps = x_t         x0  = (sigma_t x_u - sigma_u x_t) / (alpha_u sigma_t - alpha_t sigma_u)
    alpha_u x0 + sigma_u eps = x_u         eps = (x_t - alpha_t x0) / sigma_t

With these the training loss is that of distillation, whatever the network predicts (arXiv 2202.00512, algorithm 2).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pixeldance import checkpoint
from pixeldance.condition import condition
from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.guide import guided
from pixeldance.diffusion.process import Process, corrupt
from pixeldance.diffusion.sample import SOLVERS, Step, sample
from pixeldance.instruction import Instruction
from pixeldance.system import Parts, System

Solver = Literal["dpmpp_2m", "ddim"]
"""The solvers that walk to one place from each x_t, so that it can be learned, and from zero SNR too."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained model, whose long walk another one learns to make in a few steps of DDIM.

    model: its checkpoint. steps: the student's, even in t from 1 to 0 as in sampling; each step is one piece of the
    walk and learned by itself (multistep consistency models, arXiv 2403.06807; phased ones, 2405.18407), so that the
    last frame can be let go between any two, and `tau` means what it means to the teacher. each: the teacher's steps in
    one of them. guidance: of the teacher's walk; the student has it in its weights then and is sampled with scale 1
    (arXiv 2210.03142, one scale for all).

    To be trained on: `levels=Discrete(steps=steps)`, the ends of the pieces, which are all that sampling visits.
    """

    model: Path
    steps: int = 4
    each: int = 4
    solver: Solver = "dpmpp_2m"
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.each < 1:
            raise ValueError(f"got steps={self.steps}, each={self.each}; wanted 1 or more of both")

    def aims(
        self,
        student: System,
        x0: Float[Tensor, "b f c h w"],
        eps: Float[Tensor, "b f c h w"],
        t: Float[Tensor, "b"],
        asked: Sequence[Instruction],
        precision: torch.dtype = torch.float32,
    ) -> tuple[Float[Tensor, "b f c h w"], Float[Tensor, "b f c h w"]]:
        """What a student is to find in x_t = alpha x0 + sigma eps instead of x0 and eps.

        asked: what both are told; pictures are latents, noised as they are in training. precision: of the teacher's
        networks. A teacher's refiner is not asked. Raises ValueError for a student with one, and for a teacher of
        another codec, process or condition than the student's.
        """
        if student.refiner is not None:
            raise ValueError(
                "got a student with a refiner, whose steps do not end at 0; wanted replace(system, refiner=None)"
            )
        parts = opened(self.model, x0.device)
        for name in ("codec", "process", "condition", "vector"):
            got, wanted = getattr(parts.system, name), getattr(student, name)
            if got != wanted:
                raise ValueError(f"got a teacher, {self.model}, with {name}={got}; the student has {wanted}")
        autocast = torch.autocast(x0.device.type, precision, enabled=precision != torch.float32)
        conditioned = partial(
            condition,
            text=autocast(parts.text.__call__),
            slots=student.condition,
            shape=(x0.shape[2], x0.shape[3], x0.shape[4]),
            vector=student.vector,
            reads=parts.system.text.reads,
        )

        def following(rows: Sequence[int]) -> Denoise:
            told = conditioned([asked[row] for row in rows])
            mix = [(self.guidance, told)]
            if self.guidance != 1:
                mix.append((1 - self.guidance, conditioned([asked[row].without(text=True) for row in rows])))
            return guided(autocast(replace(parts.denoiser, mend=None).__call__), mix)

        with torch.no_grad():
            x = corrupt(student.process, x0, eps, t.to(x0.device))
            return walked(
                following, x, t, student.process, steps=self.steps, each=self.each, step=SOLVERS[self.solver]()
            )


def walked(
    following: Callable[[Sequence[int]], Denoise],
    x: Float[Tensor, "b ..."],
    t: Float[Tensor, "b"],
    process: Process,
    *,
    steps: int,
    each: int,
    step: Step,
) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b ..."]]:
    """x0 and eps of the lines from each x_t to the end of its piece of the way, one of `steps`, `each` steps on.

    following: the denoiser for these rows of the batch; those of one level walk together. t > 0.
    """
    x0, eps = torch.empty_like(x), torch.empty_like(x)
    for level in t.unique().tolist():
        rows = (t == level).nonzero()[:, 0].tolist()
        times = torch.linspace(level, end(level, steps), each + 1, dtype=torch.float64, device=x.device)
        reached = sample(following(rows), x[rows], times, process, step)
        x0[rows], eps[rows] = line(process, x[rows], reached, times[0], times[-1])
    return x0, eps


def end(t: float, steps: int) -> float:
    """Where the piece of the way ends in which t, above 0, lies: the next lower multiple of 1 / steps."""
    return max(math.ceil(t * steps - 1e-4) - 1, 0) / steps  # a multiple in float32 may lie a little above itself


def line(
    process: Process, x: Float[Tensor, "b ..."], reached: Float[Tensor, "b ..."], t: Tensor, u: Tensor
) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b ..."]]:
    """The x0 and eps with which x = x_t and `reached` = x_u; t and u are scalars, 0 <= u < t."""
    alpha_t, sigma_t, alpha_u, sigma_u = process.alpha(t), process.sigma(t), process.alpha(u), process.sigma(u)
    x0 = (sigma_t * reached - sigma_u * x) / (alpha_u * sigma_t - alpha_t * sigma_u)
    return x0, (x - alpha_t * x0) / sigma_t


@cache
def opened(model: Path, device: torch.device) -> Parts:
    """The networks of a checkpoint on a device, frozen; one copy for all steps of a run."""
    return checkpoint.load(model).to(device)
