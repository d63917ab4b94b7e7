"""The training loop: it learns, it continues to the bit, and what it writes opens as a checkpoint."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY

from pixeldance import checkpoint
from pixeldance.system import Parts
from pixeldance.training.loop import Training, _generator, latest, train
from pixeldance.training.objective import Example


def examples(parts: Parts, block: int) -> list[Example]:
    """Eight clips of a colour that the text names; brightness is the colour."""
    rng = torch.Generator().manual_seed(block)
    made = []
    for _ in range(8):
        bright = bool(torch.rand((), generator=rng) < 0.5)
        latents = torch.full((4, TINY.net.channels, 8, 8), 1.0 if bright else -1.0)
        made.append(Example(text="yellow" if bright else "black", latents=latents, focus=torch.zeros(4, 8, 8)))
    return made


RUN = Training(
    system=TINY,
    prepare=lambda parts: None,
    examples=examples,
    block=8,
    passes=2,
    steps=10,
    batch=2,
    images=4,
    image_every=4,
    warmup=2,
    cooldown=4,
    save_minutes=1e9,
)


def same(one: Path, other: Path) -> bool:
    tensors = [checkpoint.load_training(folder) | checkpoint.load(folder).state_dict() for folder in (one, other)]
    assert tensors[0].keys() == tensors[1].keys()
    return all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])


def test_a_continued_run_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    unbroken = train(RUN, tmp_path / "unbroken", progress=False)

    # Stopped right after the checkpoint of step 5, in the middle of a block.
    import pixeldance.training.loop as loop

    real = loop._batch

    def stop(run: Training, block: list[Example], step: int) -> list[Example]:
        if step == 5:
            raise KeyboardInterrupt
        return real(run, block, step)

    often = replace(RUN, save_minutes=0.0)
    monkeypatch.setattr(loop, "_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(often, tmp_path / "broken", progress=False)
    monkeypatch.setattr(loop, "_batch", real)
    newest = latest(tmp_path / "broken")
    assert newest is not None
    assert newest.name == "step-0000005"
    assert same(unbroken, train(often, tmp_path / "broken", progress=False))


def test_log_and_checkpoints(tmp_path: Path):
    final = train(replace(RUN, save_minutes=0.0), tmp_path, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(10))
    assert [line["step"] for line in lines if line["kind"] == "image"] == [3, 7]
    assert sorted(folder.name for folder in tmp_path.glob("step-*")) == ["step-0000009", "step-0000010"]
    assert checkpoint.read_config(final)["about"]["steps"] == 10


def test_it_learns_and_the_frozen_codec_stays(tmp_path: Path):
    final = train(replace(RUN, steps=60, rate=5e-3), tmp_path, progress=False)
    values = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sum(values[-10:]) < 0.6 * sum(values[:10])
    torch.manual_seed(RUN.seed)
    fresh, trained = Parts(TINY), checkpoint.load(final)
    for (name, before), after in zip(fresh.state_dict().items(), trained.state_dict().values(), strict=True):
        if name.startswith("codec."):
            assert torch.equal(before, after), name
    assert not torch.equal(fresh.net.conv_in.spatial.weight, trained.net.conv_in.spatial.weight)


def test_every_step_and_seed_has_its_own_randomness():
    """torch reads 32 bits of a seed: a seed kept above them would change nothing."""
    keys = [(replace(RUN, seed=seed), step) for seed in (0, 1) for step in (-1, 0, 1, 39_999)]
    draws = {tuple(torch.randn(4, generator=_generator(run, step)).tolist()) for run, step in keys}
    assert len(draws) == len(keys)
