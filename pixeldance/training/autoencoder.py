"""Training of a small frame autoencoder (nets/vae.py), where the things that matter are small in the frame.

    loss = mean(w (x - decode(z))^2) / mean(w) + kl KL(q || N(0, 1)),   z ~ q(z | x) = N(mean, exp(logvar))

w is `focus_weight` on objects and their edges and 1 elsewhere, and most steps see crops centred on objects:
whole frames with a uniform loss are mostly background, and turn stars into blobs. A step is a function of its
number alone (its frames, crops and noise), so an interrupted training continues bit for bit.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pixeldance.codec import from_pixels
from pixeldance.nets.vae import SMALL_VAE, AutoencoderKL, Residual, VAEConfig
from pixeldance.training.muon import Muon

# Number of a batch -> its frames, uint8 (n, h, w, 3), and their objects' pixels, bool (n, h, w).
Frames = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining:
    """Ends after `steps` or after `minutes` of training (those before an interruption count), as given.

    `crops`: of `crop` x `crop` pixels a step; a share `whole` of the steps sees whole frames instead, about
    as many pixels. `ema`: the averaged weights are what is kept. `workers`: processes that make frames.
    """

    vae: VAEConfig = SMALL_VAE
    steps: int | None = None
    minutes: float | None = None
    crops: int = 32
    crop: int = 32
    whole: float = 0.25
    lr: float = 0.015
    warmup: int = 100
    kl: float = 2e-5
    focus_weight: float = 5.0
    ema: float = 0.999
    seed: int = 0
    save_every: int = 500
    log_every: int = 50
    workers: int = 1

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(
                f"got steps={self.steps} and minutes={self.minutes}. Give one of them: it ends the training."
            )
        if self.crop % self.vae.factor:
            near = max(1, round(self.crop / self.vae.factor)) * self.vae.factor
            raise ValueError(f"crop={self.crop} is no multiple of the autoencoder's {self.vae.factor}; take {near}.")


def train_autoencoder(config: AutoencoderTraining, frames: Frames, folder: Path) -> AutoencoderKL:
    """Train, or continue what `folder` holds; returns the averaged weights, its `vae.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    net, average = AutoencoderKL(config.vae), AutoencoderKL(config.vae)
    _begin(net)
    average.load_state_dict(net.state_dict())
    average.requires_grad_(False)
    muon = Muon(net.parameters(), lr=config.lr)
    state = folder / "training.safetensors"
    first, before = _load(state, net, average, muon) if state.exists() else (0, 0.0)
    started = time.monotonic()
    bar = tqdm(total=config.steps, initial=first, unit="step", smoothing=0.05)
    with (folder / "log.jsonl").open("a") as log:
        step = first
        for pixels, focus in _batches(config, frames, first):
            minutes = before + (time.monotonic() - started) / 60
            done = step / config.steps if config.steps else minutes / (config.minutes or 1.0)
            if done >= 1:
                break
            for group in muon.param_groups:
                group["lr"] = config.lr * min(1.0, (step + 1) / config.warmup) * (0.02 + 0.98 * _cosine(done))
            losses = _step(config, net, muon, pixels, focus, step)
            # The average must not remember the start: it reaches back a tenth of the steps at most.
            momentum = min(config.ema, 1 - 10 / (step + 10))
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - momentum)
            bar.update()
            if step % config.log_every == 0:
                bar.set_postfix_str(f"loss {losses['loss']:.4f} object {losses['object_db']:.1f} dB, {done:.0%}")
                log.write(json.dumps({"step": step, "minutes": round(minutes, 3), **losses}) + "\n")
                log.flush()
            step += 1
            if step % config.save_every == 0:
                _save(state, net, average, muon, step, minutes)
    bar.close()
    _save(state, net, average, muon, step, before + (time.monotonic() - started) / 60)
    _write({key: value.contiguous() for key, value in average.state_dict().items()}, folder / "vae.safetensors")
    return average


def autoencoder_loss(
    net: AutoencoderKL,
    x: Float[Tensor, "n c h w"],
    focus: Bool[Tensor, "n h w"],
    *,
    kl: float,
    focus_weight: float,
    rng: torch.Generator,
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The loss above, and what to log: it, its KL (mean over latent values, nats) and the objects' PSNR."""
    mean, logvar = net.encode(x)
    noise = torch.randn(mean.shape, generator=rng).to(mean)
    error = (x - net.decode(mean + noise * (logvar / 2).exp())).square().mean(1)
    # An object's shape is in its edge, half of which is background: the weight reaches 2 px further.
    near = F.max_pool2d(focus[:, None].to(error.dtype), 5, stride=1, padding=2)[:, 0]
    weight = 1 + (focus_weight - 1) * near
    divergence = (mean.square() + logvar.exp() - 1 - logvar).mean() / 2
    loss = (weight * error).sum() / weight.sum() + kl * divergence
    seen = error.detach()[focus].mean() if focus.any() else error.detach().mean()
    logged = {"loss": loss.item(), "kl": divergence.item(), "object_db": psnr(seen.item())}
    return loss, logged


def crops(
    pixels: UInt8[Tensor, "n h w 3"],
    focus: Bool[Tensor, "n h w"],
    *,
    size: int,
    count: int,
    rng: torch.Generator,
) -> tuple[UInt8[Tensor, "count size size 3"], Bool[Tensor, "count size size"]]:
    """`count` squares from frames in turn, each about a random pixel of an object, or anywhere."""
    height, width = focus.shape[1:]
    which = torch.arange(count) % len(pixels)
    chances = focus.flatten(1).float() + 1e-6
    about = torch.multinomial(chances[which], 1, generator=rng)[:, 0]
    jitter = torch.randint(-size // 4, size // 4 + 1, (2, count), generator=rng)
    top = (about // width + jitter[0] - size // 2).clamp(0, height - size)
    left = (about % width + jitter[1] - size // 2).clamp(0, width - size)
    side = torch.arange(size)
    index = which[:, None, None], (top[:, None] + side)[:, :, None], (left[:, None] + side)[:, None, :]
    return pixels[index], focus[index]


@torch.no_grad()
def evaluate_autoencoder(
    net: AutoencoderKL, pixels: UInt8[np.ndarray, "n h w 3"], focus: Bool[np.ndarray, "n h w"]
) -> dict[str, Any]:
    """PSNR in dB (of the mean squared error over all frames) of whole frames and of objects alone, and the
    mean and standard deviation of each latent channel: what `codec.KLConfig` normalises with."""
    whole, seen, latents = [], [], []
    for images, mask in zip(_split(pixels), _split(focus), strict=True):
        x = from_pixels(images)
        mean, _ = net.encode(x)
        error = (x - net.decode(mean).clamp(-1, 1)).square().mean(1)
        whole.append(error.flatten())
        seen.append(error[torch.as_tensor(mask)])
        latents.append(mean.transpose(0, 1).flatten(1))
    values = torch.cat(latents, dim=1).double()
    return {
        "frames": len(pixels),
        "whole_db": psnr(torch.cat(whole).double().mean().item()),
        "object_db": psnr(torch.cat(seen).double().mean().item()),
        "mean": values.mean(1).tolist(),
        "std": values.std(1).tolist(),
    }


def psnr(squared_error: float) -> float:
    """In dB, from the mean squared error of pixels in [-1, 1], whose range is 2."""
    return float(10 * np.log10(4 / max(squared_error, 1e-12)))


@torch.no_grad()
def _begin(net: AutoencoderKL) -> None:
    """Initial weights with which even a net without norm layers learns from the first step."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for module in net.modules():
        if isinstance(module, Residual):
            nn.init.zeros_(module.conv2.weight)  # a residual block begins as the identity
    # With unit variance the first thing to learn, slowly, would be to make less noise.
    if net.quant.bias is not None:
        net.quant.bias[net.config.latent_channels :] = -5.0


def _step(
    config: AutoencoderTraining,
    net: AutoencoderKL,
    muon: torch.optim.Optimizer,
    pixels: UInt8[Tensor, "n h w 3"],
    focus: Bool[Tensor, "n h w"],
    step: int,
) -> dict[str, float]:
    rng = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    if torch.rand((), generator=rng) < config.whole:
        count = max(1, config.crops * config.crop**2 // (pixels.shape[1] * pixels.shape[2]))
        chosen = torch.randperm(len(pixels), generator=rng)[:count]
        pixels, focus = pixels[chosen], focus[chosen]
    else:
        pixels, focus = crops(pixels, focus, size=config.crop, count=config.crops, rng=rng)
    loss, logged = autoencoder_loss(
        net, from_pixels(pixels), focus, kl=config.kl, focus_weight=config.focus_weight, rng=rng
    )
    muon.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    # A net without norm layers is the one that needs it: one bad batch must not throw it off.
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    muon.step()
    return logged


class _Numbered(Dataset[tuple[Tensor, Tensor]]):
    """`frames` as what a DataLoader takes."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pixels, focus = self.frames(index)
        return torch.as_tensor(pixels), torch.as_tensor(focus)


def _batches(config: AutoencoderTraining, frames: Frames, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    numbers = range(first, config.steps if config.steps else 10**9)
    loader = DataLoader(_Numbered(frames), sampler=numbers, batch_size=None, num_workers=config.workers)
    return iter(loader)


def _cosine(done: float) -> float:
    return (1 + cos(pi * done)) / 2


def _split(array: NDArray[Any], size: int = 50) -> Iterator[NDArray[Any]]:
    return (array[i : i + size] for i in range(0, len(array), size))


def _save(
    path: Path,
    net: AutoencoderKL,
    average: AutoencoderKL,
    muon: torch.optim.Optimizer,
    step: int,
    minutes: float,
) -> None:
    tensors = {f"net.{key}": value for key, value in net.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    for index, moments in muon.state_dict()["state"].items():
        tensors |= {f"muon.{index}.{name}": value for name, value in moments.items()}
    done = {"step": str(step), "minutes": repr(minutes)}
    _write({key: value.contiguous() for key, value in tensors.items()}, path, done)


def _load(path: Path, net: AutoencoderKL, average: AutoencoderKL, muon: torch.optim.Optimizer) -> tuple[int, float]:
    with safe_open(path, framework="pt") as file:
        tensors, done = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    net.load_state_dict({key[4:]: value for key, value in tensors.items() if key.startswith("net.")})
    average.load_state_dict({key[8:]: value for key, value in tensors.items() if key.startswith("average.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("muon."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    muon.load_state_dict({"state": moments, "param_groups": muon.state_dict()["param_groups"]})
    return int(done["step"]), float(done["minutes"])


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    # Written beside it and moved over it: a run killed while saving leaves the file before whole.
    beside = path.with_suffix(".part")
    save_file(tensors, beside, metadata)
    os.replace(beside, path)
