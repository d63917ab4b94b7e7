"""LoRAs on the command line: in the clip, in its receipt, and in the proof."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command import TEXT, Run
from tiny import random_parts

from pixeldance import adapter, checkpoint
from pixeldance.nets import lora
from pixeldance.nets.lora import LoRA


@pytest.fixture
def loras(here: Path, tiny_model: Path) -> Path:
    """An empty folder but for two LoRAs of the tiny model, one and two, and one of another model, foreign."""
    for seed, name in enumerate(("one", "two", "foreign")):
        parts, rng = random_parts(), torch.Generator().manual_seed(seed)
        made = lora.attach(parts, LoRA(rank=2), rng)
        with torch.no_grad():
            for weight in made.values():
                weight.copy_(0.2 * torch.randn(weight.shape, generator=rng))
        base = "0" * 64 if name == "foreign" else checkpoint.model_hash(tiny_model)
        adapter.save(here / name, parts, base=base)
    return here


def frames(name: str) -> str:
    return json.loads(Path(name).read_text())["frames_sha256"]


def test_loras_are_in_the_clip_the_receipt_and_the_proof(run: Run, loras: Path, tiny_model: Path) -> None:
    ask = ["generate", TEXT, "--model", tiny_model, "--seed", 7, "--steps", 1]
    assert run(*ask, "-o", "plain.mkv")[0] == 0
    assert run(*ask, "--lora", "one:0", "-o", "zero.mkv")[0] == 0
    assert frames("zero.json") == frames("plain.json")
    assert run(*ask, "--lora", "one:0.5", "--lora", "two", "--count", 2, "--workers", 2, "-o", "out.mkv")[0] == 0
    assert frames("out-1.json") != frames("plain.json")
    assert run(*ask, "--lora", "one:0.5", "--lora", "two", "-o", "alone.mkv")[0] == 0
    assert frames("alone.json") == frames("out-1.json"), "workers put the same LoRAs on"

    base = checkpoint.model_hash(tiny_model)
    assert json.loads(Path("out-1.json").read_text())["model"]["loras"] == [
        {"folder": str(loras / name), "sha256": adapter.adapter_hash(loras / name), "base": base, "scale": scale}
        for name, scale in (("one", 0.5), ("two", 1.0))
    ]
    assert run("verify", "out-1.json")[0] == 0

    Path("one").rename("moved")
    code, _, err = run("verify", "out-1.json")
    assert (code, "names the LoRA" in err, "say where all are with --lora DIR" in err) == (2, True, True)
    code, _, err = run("verify", "out-1.json", "--lora", "moved")
    assert (code, "got 1 --lora; wanted where these of the receipt are now" in err) == (2, True)
    assert run("verify", "out-1.json", "--lora", "moved", "--lora", "two")[0] == 0

    shutil.copytree("two", "one")
    code, out, _ = run("verify", "out-1.json")
    assert (code, "the LoRAs (hash, scale) are [" in out) == (1, True)


def test_a_lora_of_another_model_needs_leave_and_is_recorded(run: Run, loras: Path, tiny_model: Path) -> None:
    ask = ["generate", TEXT, "--model", tiny_model, "--steps", 1, "--lora", "foreign", "-o", "out.mkv"]
    code, _, err = run(*ask)
    assert (code, "belongs to 0000" in err, "--any-base" in err) == (2, True, True)
    assert not Path("out.mkv").exists()
    assert run(*ask, "--any-base")[0] == 0
    model = json.loads(Path("out.json").read_text())["model"]
    assert (model["sha256"], model["loras"][0]["base"]) == (checkpoint.model_hash(tiny_model), "0" * 64)
    assert run("verify", "out.json")[0] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nowhere"], "nowhere/adapter_config.json: got no such file"),
        (["a.png"], "got no such file"),
        (["one:101"], "got '101'; wanted a number from -100 to 100"),
        (["one:nan"], "got 'nan'; wanted a number"),
        ([":1"], "got no such file"),
        (["one:0.5", "one"], "got a second LoRA named 'one'"),
    ],
)
def test_loras_that_are_none_are_refused(
    run: Run, loras: Path, tiny_model: Path, given: list[str], message: str
) -> None:
    code, _, err = run(
        "generate", TEXT, "--model", tiny_model, *(x for g in given for x in ("--lora", g)), "-o", "o.mkv"
    )
    assert (code, message in err) == (2, True), err
    assert not Path("o.mkv").exists()


def test_a_folder_may_have_a_colon_in_its_name() -> None:
    from pixeldance.cli import ask

    assert [ask.lora(text) for text in ("a:b", "a:b:-0.5", "a:1e-1", "a")] == [
        ("a:b", 1.0),
        ("a:b", -0.5),
        ("a", 0.1),
        ("a", 1.0),
    ]
