"""The autoencoder's training: interruption changes nothing, it learns, crops show objects, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from pixeldance.nets.vae import AutoencoderKL, VAEConfig
from pixeldance.training.autoencoder import (
    AutoencoderTraining,
    crops,
    evaluate_autoencoder,
    psnr,
    train_autoencoder,
)

TINY = AutoencoderTraining(
    vae=VAEConfig(latent_channels=8, widths=(16, 16), layers=1, groups=0, mid_attention=False, patch=2),
    steps=6,
    crops=8,
    crop=16,
    save_every=3,
    log_every=1,
    warmup=2,
    workers=0,
)


def squares(batch: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Bright squares on grey, 32 px."""
    rng = np.random.default_rng(batch)
    pixels = np.full((4, 32, 32, 3), 90, np.uint8)
    focus = np.zeros((4, 32, 32), np.bool_)
    for i, (y, x) in enumerate(rng.integers(0, 24, (4, 2))):
        pixels[i, y : y + 8, x : x + 8] = rng.integers(0, 256, 3)
        focus[i, y : y + 8, x : x + 8] = True
    return pixels, focus


def test_interrupted_equals_uninterrupted(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_autoencoder(TINY, squares, whole)

    def cut_off(batch: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        if batch == 5:
            raise KeyboardInterrupt
        return squares(batch)

    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(TINY, cut_off, parts)
    assert not (parts / "vae.safetensors").exists()
    train_autoencoder(TINY, squares, parts)
    for name in ("vae", "training"):
        expected, got = load_file(whole / f"{name}.safetensors"), load_file(parts / f"{name}.safetensors")
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[key], got[key]) for key in expected)
    assert not list(parts.glob("*.part"))


def test_continuing_a_finished_one_changes_nothing(tmp_path: Path) -> None:
    train_autoencoder(TINY, squares, tmp_path)
    before = load_file(tmp_path / "training.safetensors")
    train_autoencoder(TINY, squares, tmp_path)
    after = load_file(tmp_path / "training.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(6))


def test_it_learns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pixels, focus = squares(10**6)
    fresh = evaluate_autoencoder(AutoencoderKL(TINY.vae), pixels, focus)
    config = replace(TINY, steps=80, ema=0.9, save_every=1000, log_every=1000)
    net = train_autoencoder(config, squares, tmp_path)
    trained = evaluate_autoencoder(net, pixels, focus)
    assert trained["whole_db"] > fresh["whole_db"] + 5
    assert trained["object_db"] > fresh["object_db"] + 5
    assert len(trained["mean"]) == len(trained["std"]) == 8
    assert min(trained["std"]) > 0


def test_minutes_end_it(tmp_path: Path) -> None:
    config = replace(TINY, steps=None, minutes=0.005, workers=1)
    train_autoencoder(config, squares, tmp_path)
    assert (tmp_path / "vae.safetensors").exists()


def test_crops_show_objects() -> None:
    pixels, focus = (torch.as_tensor(array) for array in squares(0))
    rng = torch.Generator().manual_seed(0)
    cropped, seen = crops(pixels, focus, size=16, count=32, rng=rng)
    assert cropped.shape == (32, 16, 16, 3)
    assert seen.flatten(1).any(1).all()
    empty, _ = crops(pixels, torch.zeros_like(focus), size=32, count=4, rng=rng)
    assert torch.equal(empty, pixels)


def test_psnr_is_of_the_full_range() -> None:
    assert psnr(4.0) == pytest.approx(0.0)
    assert psnr(0.04) == pytest.approx(20.0)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="Give one of them"):
        AutoencoderTraining()
    with pytest.raises(ValueError, match="take 16"):
        replace(TINY, crop=18)
