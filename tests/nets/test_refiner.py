"""The refiner: it begins as the identity, mends where it should, is trained alone, and is kept with the model."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import REFINED, TINY, random_parts
from tiny_run import RUN
from torch import Generator, Tensor

from pixeldance import checkpoint
from pixeldance.codec import KLConfig
from pixeldance.data.clip import Example
from pixeldance.diffusion.denoise import Cond
from pixeldance.diffusion.noise import generators
from pixeldance.forecast import clips, mendings
from pixeldance.generate import Sampling, Start, generate
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.refiner import RefinerConfig
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts
from pixeldance.training.levels import Uniform
from pixeldance.training.loop import train
from pixeldance.training.objective import Objective, loss
from pixeldance.training.refine import _corner
from pixeldance.work import counted, stages

ASKED = Instruction(text="a red star moves left", length=4, size=(32, 32))


def parts_with(gain: float) -> Parts:
    """A random model whose refiner multiplies its estimate."""
    parts = random_parts(REFINED)
    assert parts.refiner is not None
    assert parts.refiner.unet.carry is not None
    torch.nn.init.zeros_(parts.refiner.unet.conv_out.bias)
    parts.refiner.unet.carry.gain.bias[:12] = gain
    return parts


def pictures(seed: int = 0) -> dict[int, Tensor]:
    rng = Generator().manual_seed(seed)
    return {FIRST: torch.randn(48, 8, 8, generator=rng), LAST: torch.randn(48, 8, 8, generator=rng)}


def walked(parts: Parts, asked: Instruction) -> tuple[Tensor, list[Tensor]]:
    """The video, and what each step left."""
    steps: list[Tensor] = []
    made = generate(parts, [asked], generators([0]), Sampling(steps=4), lambda _, x: steps.append(x.clone()))
    return made, steps


def test_a_new_refiner_gives_back_what_it_is_given():
    x0, concat, vector = torch.randn(2, 4, 48, 8, 8), torch.randn(2, 4, 98, 8, 8), torch.randn(2, 16)
    tokens, mask = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    cond = Cond(tokens=tokens, mask=mask, concat=concat, vector=vector)
    with torch.no_grad():
        assert torch.allclose(Parts(REFINED).mend(x0, torch.tensor([0.3, 0.5]), cond), x0, atol=1e-6)


def test_the_estimates_at_its_levels_are_mended_and_the_last_of_them_is_the_video():
    assert REFINED.grid(3).tolist() == pytest.approx([1.0, 0.75, 0.5, 0.0])
    asked = replace(ASKED, frames=pictures())
    same, steps = walked(parts_with(1.0), asked)
    doubled, steps_too = walked(parts_with(2.0), asked)
    assert len(steps) == 4
    assert torch.equal(steps[2], steps_too[2])
    assert torch.allclose(doubled, 2 * same, atol=1e-5)


def test_it_is_told_what_the_last_leg_of_the_walk_was_told():
    """Its features see a last frame that is followed to the end, and none that was let go before."""
    parts = random_parts(REFINED)
    assert parts.refiner is not None
    seen: list[Tensor] = []
    parts.refiner.unet.register_forward_pre_hook(lambda _, __, told: seen.append(told["concat"]), with_kwargs=True)
    asked = replace(ASKED, frames=pictures())
    for tau in (1.0, 0.1):
        generate(parts, [asked], generators([0]), Sampling(steps=4, guidance=1.0, tau=tau))
    mask_of_last = [float(concat[0, 0, 25].mean()) for concat in seen]
    assert mask_of_last == [1.0, 0.0]


def test_a_video_found_by_inversion_is_walked_without_it():
    asked = replace(ASKED, frames=pictures())
    start = Start(latents=torch.randn(4, 48, 8, 8), instruction=asked, strength=0.5)
    made = [
        generate(parts_with(gain), [asked], generators([0]), Sampling(steps=4, solver="ddim"), start=start)
        for gain in (1.0, 2.0)
    ]
    assert torch.equal(*made)


def test_it_is_kept_with_the_model_and_a_missing_file_is_named(tmp_path: Path):
    checkpoint.save(tmp_path / "model", parts_with(2.0), torch.float32)
    again = checkpoint.load(tmp_path / "model")
    assert torch.equal(walked(again, ASKED)[0], walked(parts_with(2.0), ASKED)[0])
    (tmp_path / "model" / "refiner.safetensors").unlink()
    with pytest.raises(ValueError, match=r"refiner.safetensors: missing"):
        checkpoint.load(tmp_path / "model")


def test_training_changes_it_alone_and_learns(tmp_path: Path):
    """The clips are of one colour: what a random network estimates is far off, and easily mended."""
    system = replace(REFINED, trained=("refiner",))
    run = replace(
        RUN, system=system, objective=Objective(levels=Uniform(lowest=0.4, highest=0.6), crop=4), steps=12, rate=3e-3
    )
    begun = checkpoint.load(train(replace(run, steps=1, rate=0.0), tmp_path / "begun", progress=False))
    ended = checkpoint.load(train(run, tmp_path / "run", progress=False))
    before, after = begun.state_dict(), ended.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"refiner"}
    batch = [Example(text="black", latents=torch.full((4, 48, 8, 8), -1.0))] * 2
    found = []
    for parts in (begun, ended):
        rngs = [Generator().manual_seed(seed) for seed in (0, 1)]
        found.append(float(loss(parts, Objective(), batch, torch.tensor([0.4, 0.6]), rngs)))
    assert found[1] < 0.8 * found[0]


def test_crops_lie_where_the_weight_is():
    weight = torch.ones(2, 1, 8, 8)
    weight[:, :, 6, 1] = 5.0
    corners = {_corner(weight, 4, Generator().manual_seed(seed)) for seed in range(50)}
    assert corners == {(4, 0), (4, 1), (3, 0), (3, 1)}


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a linear codec"):
        replace(REFINED, codec=KLConfig())
    with pytest.raises(ValueError, match="no refiner; give the system one"):
        replace(TINY, trained=("refiner",))
    with pytest.raises(ValueError, match="'refiner' alone"):
        replace(REFINED, trained=("net", "refiner"))
    with pytest.raises(ValueError, match="until <= below"):
        RefinerConfig(net=TINY.net, below=0.2, until=0.3)
    batch = [Example(text="black", latents=torch.zeros(4, 48, 8, 8))]
    with pytest.raises(ValueError, match="crops are for a refiner"):
        loss(random_parts(), Objective(crop=4), batch, torch.tensor([0.5]), [Generator()])
    parts = Parts(replace(REFINED, trained=("refiner",)))
    with pytest.raises(ValueError, match="got crop=9 for latents of 8 x 8"):
        loss(parts, Objective(crop=9), batch, torch.tensor([0.5]), [Generator()])
    assert REFINED.refiner is not None
    with pytest.raises(ValueError, match=r"make \(12, 26, 16, 16\)"):
        replace(REFINED, refiner=replace(REFINED.refiner, net=TINY.net))
    with pytest.raises(ValueError, match="crop=-1; wanted 0 or more"):
        Objective(crop=-1)


def test_the_memory_of_its_pass_is_counted():
    """On squares of half the side it holds more than the network before it."""
    first, second = (counted(each, 4, (32, 32)).live for each in stages(REFINED))
    assert second > first
    assert stages(TINY) == (TINY,)


def test_its_passes_are_part_of_a_forecast():
    """Two of four steps are at its levels, each with both terms of guidance."""
    low = replace(REFINED, refiner=replace(REFINED.refiner, below=0.7))
    assert [mendings(each, Sampling(steps=4), 4) for each in (TINY, REFINED, low)] == [0, 2, 4]
    made = clips(Pipeline(parts_with(1.0)), ASKED, Sampling(steps=4))
    assert 0 < made.seconds.low < made.seconds.likely < made.seconds.high
