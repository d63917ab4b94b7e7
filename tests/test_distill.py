"""Distillation: what the student is to predict, against the Gaussian world's own walk, and a run that learns it."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from gaussian_world import ar1
from tiny import random_parts
from tiny_run import RUN, SMALLER, same
from torch import Generator, Tensor

from pixeldance import adapter, checkpoint
from pixeldance.data.clip import Example
from pixeldance.diffusion.process import VP, Process, corrupt
from pixeldance.diffusion.sample import SOLVERS, ddim, sample
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import load
from pixeldance.training.distill import Teacher, end, line, walked
from pixeldance.training.levels import Discrete, Uniform
from pixeldance.training.loop import train
from pixeldance.training.objective import Objective, loss

COSINE = VP(betas="cosine", logsnr_shift=-2.4)
WORLD = ar1()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "teacher"
    checkpoint.save(folder, random_parts(SMALLER), torch.float32)
    return folder


def noisy(process: Process, t: Tensor) -> Tensor:
    eps = torch.randn(len(t), 4, 2, 4, 4, generator=Generator().manual_seed(1), dtype=torch.float64)
    return corrupt(process, WORLD.draw((2, 4, 4), len(t)), eps, t)


def error(each: int) -> float:
    """How far the teacher's x0 is from that of the exact walk, at all levels that 4 steps begin at."""
    t = Discrete(steps=4)(torch.arange(8) / 8)
    x = noisy(COSINE, t)
    denoise = WORLD.denoiser(COSINE)
    found, eps = walked(lambda rows: denoise, x, t, COSINE, steps=4, each=each, step=SOLVERS["dpmpp_2m"]())
    assert torch.allclose(corrupt(COSINE, found, eps, t), x, atol=1e-5)
    walks = [(row, level, end(level, 4)) for row, level in enumerate(t.tolist())]
    exact = [
        line(COSINE, x[row], WORLD.flow(COSINE, x[row : row + 1], t, u)[0], torch.tensor(t), torch.tensor(u))[0]
        for row, t, u in walks
    ]
    return float((found - torch.stack(exact)).square().mean().sqrt())


def test_the_exact_walk_has_zero_loss_in_the_limit_and_the_denoiser_itself_has_not():
    errors = {each: error(each) for each in (1, 8, 32)}
    assert errors[1] > 0.05
    assert errors[8] > 6 * errors[32]
    assert errors[32] < 3e-3


def test_a_student_that_predicts_it_makes_the_whole_walk_in_four_steps():
    def student(x: Tensor, t: Tensor) -> Tensor:
        return line(COSINE, x, WORLD.flow(COSINE, x, t, u := t - 0.25), t, u)[0]

    times = torch.linspace(1, 0, 5, dtype=torch.float64)
    x = torch.randn(2, 4, 2, 4, 4, generator=Generator().manual_seed(0))
    made = sample(student, x, times, COSINE, ddim())
    assert torch.allclose(made.double(), WORLD.flow(COSINE, x, 1.0, 0.0).double(), atol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_a_piece_ends_where_the_next_step_of_sampling_begins(steps: int):
    ends = [end(t, steps) for t in Discrete(steps=steps)((torch.arange(steps) + 0.5) / steps).tolist()]
    assert ends == [step / steps for step in range(steps)]
    assert [end(t, 4) for t in (0.9, 0.6, 0.3, 0.1)] == [0.75, 0.5, 0.25, 0.0]


def batch() -> list[Example]:
    rng = Generator().manual_seed(3)
    return [Example(text="a red star", latents=torch.randn(4, 48, 8, 8, generator=rng)) for _ in range(6)]


def taken(model: Path, objective: Objective, seed: int = 0) -> float:
    """The loss of six clips, some without a last frame and some without a text, to the weights of the teacher."""
    parts, rngs = random_parts(SMALLER, seed), [Generator().manual_seed(each) for each in range(6)]
    levels = objective.draw(6, Generator().manual_seed(0))
    with torch.no_grad():
        return loss(parts, objective, batch(), levels, rngs).item()


def test_one_step_of_the_teacher_is_its_own_under_every_condition(model: Path):
    alike = Teacher(model=model, each=1, solver="ddim")
    own = Objective(levels=Discrete(steps=4), drop_last=0.5, drop_text=0.5, teacher=alike)
    assert taken(model, own) < 1e-7
    assert taken(model, replace(own, levels=Uniform())) < 1e-7
    assert taken(model, own, seed=1) > 0.1
    for other in ({"each": 2}, {"guidance": 2.0}):
        assert taken(model, replace(own, teacher=replace(alike, **other))) > 1e-5
    assert taken(model, replace(own, teacher=replace(alike, guidance=2.0), drop_text=1.0)) < 1e-7


@pytest.mark.parametrize(
    ("odd", "message"),
    [({"steps": 0}, "got steps=0"), ({"each": 0}, "each=0; wanted")],
)
def test_impossible_teachers_are_refused(odd: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Teacher(model=Path("a"), **odd)


def test_a_teacher_of_another_process_is_refused(model: Path):
    parts = random_parts(replace(SMALLER, process=VP()))
    with pytest.raises(ValueError, match=r"got a teacher, .* with process=.*the student has"):
        loss(parts, Objective(teacher=Teacher(model=model)), batch()[:1], torch.tensor([0.5]), [Generator()])


def test_steps_on_it_lower_the_loss(model: Path):
    parts = random_parts(SMALLER).requires_grad_(True)
    optimiser = torch.optim.Adam(parts.net.parameters(), lr=2e-4)
    told = []
    for _ in range(4):
        rngs = [Generator().manual_seed(each) for each in range(2)]
        objective = Objective(teacher=Teacher(model=model, steps=2, each=2))
        value = loss(parts, objective, batch()[:2], torch.tensor([0.5, 1.0]), rngs)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        told.append(value.item())
    assert told[0] > told[1] > told[-1] > 0


@pytest.mark.parametrize("lora", [None, LoRA(rank=4)], ids=["weights", "lora"])
def test_a_run_goes_on_to_the_same_bytes_and_samples_in_few_steps(model: Path, tmp_path: Path, lora: LoRA | None):
    asked = replace(
        RUN,
        system=replace(SMALLER, steps=2, guidance=1.0, solver="ddim"),
        init=model,
        objective=Objective(levels=Discrete(steps=2), teacher=Teacher(model=model, steps=2, each=2)),
        lora=lora,
        steps=4,
        schedule="constant",
        image_every=3,
    )
    whole = train(asked, tmp_path / "whole", progress=False)
    train(replace(asked, steps=2), tmp_path / "parts", progress=False)
    assert same(train(asked, tmp_path / "parts", progress=False), whole)
    system = load(whole).system
    assert (system.steps, system.guidance, system.solver) == (2, 1.0, "ddim")
    if lora is not None:
        assert adapter.load(whole / "lora").base == checkpoint.model_hash(model)


# The experiment


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "experiments")
    return import_module("distill")


def test_the_experiment_trains_what_it_measures(experiment: ModuleType, model: Path, tmp_path: Path):
    recipe = experiment.config(model, steps=1, rank=2, batch=2)
    assert recipe.objective.levels == Discrete(steps=recipe.objective.teacher.steps)
    small = replace(recipe, data=partial(recipe.data, size=(32, 32), frames=4), image_every=0)
    final = train(small, tmp_path / "run", progress=False)
    own = experiment.gaps(load(model).parts, recipe, 2)
    assert (len(own), len(own[0])) == (2, 4)
    assert experiment.gaps(load(final).parts, recipe, 2) != own
    halved = [[gap / 2 for gap in row] for row in own]
    assert experiment.apart(halved, own)["left"] == pytest.approx(0.5)
