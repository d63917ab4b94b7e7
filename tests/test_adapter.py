"""LoRA folders come back bit by bit, bound to their base; what is damaged or means something else is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import random_parts

import pixeldance
from pixeldance import adapter, checkpoint
from pixeldance.nets import lora
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts

LAYERS = ("net.*attention.query", "net.*.temporal.convs.*", "text.embedding")


def adapted(seed: int = 0, **settings: Any) -> Parts:
    """A tiny model with an adapter that was trained on nothing good."""
    parts = random_parts()
    made = lora.attach(parts, LoRA(**{"rank": 2, "alpha": 3.0, "layers": LAYERS} | settings), _rng(seed))
    with torch.no_grad():
        for weight in made.values():
            weight.copy_(torch.randn(weight.shape, generator=_rng(seed)))
    return parts


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> str:
    return checkpoint.model_hash(tiny_model)


@pytest.fixture
def folder(tmp_path: Path, base: str) -> Path:
    adapter.save(tmp_path / "lora", adapted(), base=base, about={"steps": 3})
    return tmp_path / "lora"


@pytest.fixture
def pipe(tiny_model: Path) -> Pipeline:
    return pixeldance.load(tiny_model)


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def frames(pipe: Pipeline) -> np.ndarray:
    return pipe("a red circle", seed=1, num_inference_steps=1, guidance_scale=1.0, output_type="np").frames


def test_weights_come_back_to_the_bit(folder: Path, base: str) -> None:
    read, wanted = adapter.load(folder), lora.weights(adapted())
    assert sorted(file.name for file in folder.iterdir()) == [adapter.CONFIG, adapter.WEIGHTS, adapter.RECORD]
    assert read.state.keys() == wanted.keys()
    assert all(torch.equal(read.state[key], weight) for key, weight in wanted.items())
    assert (read.alpha, read.base, read.folder) == (3.0, base, folder)
    assert adapter.read_record(folder)["about"] == {"steps": 3}


def test_the_same_lora_has_the_same_hash_and_any_other_another(folder: Path, tmp_path: Path, base: str) -> None:
    found = [adapter.load(folder).sha256]
    for name, parts in (("same", adapted()), ("weights", adapted(seed=1)), ("alpha", adapted(alpha=4.0))):
        adapter.save(tmp_path / name, parts, base=base)
        found.append(adapter.load(tmp_path / name).sha256)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_scales_change_on_a_loaded_model_and_zero_is_the_base_to_the_byte(
    pipe: Pipeline, folder: Path, tmp_path: Path, base: str
) -> None:
    before = frames(pipe)
    pipe.load_lora_weights(folder, scale=0.5)
    half = frames(pipe)
    assert (half != before).any()
    adapter.save(tmp_path / "other", adapted(seed=1), base=base)
    pipe.load_lora_weights(tmp_path / "other", "other", scale=0.0)
    np.testing.assert_array_equal(frames(pipe), half)
    pipe.set_adapters({str(folder): 0.0, "other": 1.0})
    assert (frames(pipe) != half).any()
    assert [each.scale for each in pipe.loras.values()] == [0.0, 1.0]
    pipe.set_adapters({"other": 0})
    np.testing.assert_array_equal(frames(pipe), before)
    with pytest.raises(ValueError, match=r"got the LoRA 'third'; on this model are .*, other"):
        pipe.set_adapters({"third": 1.0})
    pipe.unload_lora_weights()
    assert pipe.loras == {}
    np.testing.assert_array_equal(frames(pipe), before)


def test_a_lora_of_another_base_needs_leave(pipe: Pipeline, tmp_path: Path, base: str) -> None:
    for name, recorded in (("other", "0" * 64), ("none", None)):
        adapter.save(tmp_path / name, adapted(), base=recorded)
        message = "belongs to 0000" if recorded else "does not say on which model"
        with pytest.raises(ValueError, match=f"{name}: this LoRA {message}.* and this model is {base}; .*--any-base"):
            pipe.load_lora_weights(tmp_path / name)
        assert str(tmp_path / name) not in pipe.loras
        pipe.load_lora_weights(tmp_path / name, any_base=True)
        assert pipe.loras[str(tmp_path / name)].base == recorded
    with pytest.raises(ValueError, match="this model is one made in memory"):
        Pipeline(random_parts()).load_lora_weights(tmp_path / "none")


def test_another_geometry_is_always_refused(pipe: Pipeline, tmp_path: Path, base: str) -> None:
    wide = torch.nn.ModuleDict({"net": torch.nn.ModuleDict({"conv_out": torch.nn.Conv2d(4, 48, 3)})})
    lora.attach(wide, LoRA(layers=("*",)), _rng(0))
    adapter.save(tmp_path / "lora", wide, base=base)
    with pytest.raises(ValueError, match=r"lora: got A and B of \(8, 4, 3, 3\) and .* wants \(8, 8, 3, 3\)"):
        pipe.load_lora_weights(tmp_path / "lora", any_base=True)
    assert pipe.loras == {}


@pytest.mark.parametrize("name", [adapter.CONFIG, adapter.WEIGHTS])
def test_a_damaged_file_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}: damaged or cut short: its SHA-256 is "):
        adapter.load(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: got no such file; wanted a folder with adapter_config.json"):
        adapter.load(folder)


@pytest.mark.parametrize("name", ["adapter_model.bin", "lora.pt"])
def test_a_pickle_is_refused(tmp_path: Path, name: str) -> None:
    torch.save({}, tmp_path / name)
    with pytest.raises(ValueError, match=f"got {name}, a pickle, which can run code when opened; wanted"):
        adapter.load(tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "lora/adapter_config.json"])
def test_what_is_no_folder_is_refused(folder: Path, place: str) -> None:
    with pytest.raises(ValueError, match="got no such file; wanted a folder with"):
        adapter.load(folder.parent / place)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"version": 1}', '{"version": 1, "base": null}'])
def test_a_record_of_another_form_is_refused(folder: Path, text: str) -> None:
    (folder / adapter.RECORD).write_text(text)
    with pytest.raises(ValueError, match=r"pixeldance\.json: not the record of a LoRA"):
        adapter.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "got LoRA version 2, this pixeldance reads version 1"),
        ({"base": 7}, "got base 7 and hashes"),
        ({"sha256": {adapter.CONFIG: ""}}, "wanted one each for adapter_config.json, adapter_model.safetensors"),
        ({"sha256": []}, "wanted one each for"),
    ],
)
def test_records_that_are_not_ours_are_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    edit(folder / adapter.RECORD, lambda record: record.update(change))
    with pytest.raises(ValueError, match=message):
        adapter.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "LOHA"}, "got peft_type 'LOHA' with lora_alpha 3.0; wanted LORA"),
        ({"lora_alpha": float("inf")}, "with lora_alpha inf; wanted LORA with a finite number"),
        ({"lora_alpha": 10**400}, "not the settings of a LoRA"),
        ({"lora_alpha": "8"}, "not the settings of a LoRA"),
        ({"use_dora": True}, "got use_dora = True, which is not supported; wanted a plain LoRA"),
        ({"alpha_pattern": {"net.*": 3}}, "got alpha_pattern = "),
        ({"bias": "all"}, "got bias = 'all'"),
        ({"modules_to_save": ["net.conv_in"]}, "got modules_to_save = "),
        ({"init_lora_weights": "pissa"}, "got init_lora_weights = 'pissa'"),
        ({"a_setting_of_tomorrow": {"x": 1}}, "got a_setting_of_tomorrow = "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_mean_something_else_are_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    (folder / adapter.RECORD).unlink()
    edit(folder / adapter.CONFIG, lambda config: config.update(change))
    with pytest.raises(ValueError, match=message):
        adapter.load(folder)


@pytest.mark.parametrize(
    ("key", "weight"),
    [
        ("net.conv_out.lora_A.weight", torch.ones(2, 3)),
        ("base_model.model.net.conv_out.lora_B.bias", torch.ones(2, 3)),
        ("base_model.model.net.conv_out.lora_magnitude_vector", torch.ones(2, 3)),
        ("base_model.model.net.conv_out.lora_A.weight", torch.ones(2, 3, dtype=torch.int64)),
        ("base_model.model.net.conv_out.lora_A.weight", torch.ones(2)),
    ],
)
def test_weights_that_are_no_lora_are_refused(folder: Path, key: str, weight: torch.Tensor) -> None:
    from safetensors.torch import save_file

    (folder / adapter.RECORD).unlink()
    save_file({key: weight}, folder / adapter.WEIGHTS)
    with pytest.raises(ValueError, match=rf"{adapter.WEIGHTS}: got {key}; wanted base_model\.model\.LAYER\.lora_A"):
        adapter.load(folder)


def test_weights_that_are_no_safetensors_are_refused(folder: Path) -> None:
    (folder / adapter.RECORD).unlink()
    torch.save({}, folder / adapter.WEIGHTS)
    with pytest.raises(ValueError, match="not a safetensors file"):
        adapter.load(folder)


def test_a_lora_is_never_overwritten_and_a_save_that_fails_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    before = adapter.adapter_hash(folder)
    with pytest.raises(ValueError, match="exists and a finished result is never overwritten"):
        adapter.save(folder, adapted(seed=1), base=None)
    assert adapter.adapter_hash(folder) == before
    with pytest.raises(TypeError):
        adapter.save(tmp_path / "new", adapted(), base=None, about={"not": object()})
    with pytest.raises(ValueError, match="got the LoRA 'other'; on this model are default"):
        adapter.save(tmp_path / "new", adapted(), base=None, name="other")
    assert [each.name for each in tmp_path.iterdir()] == ["lora"]


def test_several_ranks_cannot_be_saved(tmp_path: Path) -> None:
    parts = adapted()
    state = {key: weight.detach() for key, weight in lora.weights(parts).items()}
    key = next(key for key in state if key.endswith("lora_A.weight"))
    state[key] = torch.cat([state[key]] * 2)
    other = key.replace("lora_A", "lora_B")
    state[other] = torch.cat([state[other]] * 2, dim=1)
    lora.remove(parts)
    lora.insert(parts, state, name="default", alpha=1.0)
    with pytest.raises(ValueError, match=r"got a LoRA of several ranks and alphas, \[\(2, 1.0\), \(4, 1.0\)\]"):
        adapter.save(tmp_path / "lora", parts, base=None)


def test_a_checkpoint_has_no_place_for_a_lora_but_for_a_merged_one(tmp_path: Path) -> None:
    parts = adapted()
    merged = lora.merged(parts, parts.state_dict())
    with pytest.raises(ValueError, match=r"got a model with LoRAs on it.* save them \(pixeldance.adapter.save\)"):
        checkpoint.save(tmp_path / "model", parts)
    lora.merge(parts)
    checkpoint.save(tmp_path / "model", parts, torch.float32)
    again = checkpoint.load(tmp_path / "model").state_dict()
    assert again.keys() == merged.keys()
    assert all(torch.equal(again[key], weight) for key, weight in merged.items())
