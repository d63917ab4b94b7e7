"""What training asks of a model: at which noise levels, with which instruction, weighed how.

loss = mean of weight * |F(c_in x_t, c_noise, cond) - target|^2,   x_t = alpha x0 + sigma eps

It is a mean over clips, each with its own level and generator: however a batch is split, the parts average to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.condition import condition, noised, picture_noise
from pixeldance.data.clip import Example
from pixeldance.diffusion.denoise import Denoiser, coefficients
from pixeldance.diffusion.process import logsnr, noise_share
from pixeldance.instruction import LAST, Image, Instruction, Latent
from pixeldance.system import Parts
from pixeldance.training.distill import Teacher
from pixeldance.training.levels import Levels, Uniform
from pixeldance.training.refine import refining
from pixeldance.training.sets import RandomSet


@dataclass(frozen=True, kw_only=True)
class Weight:
    """How much an error counts, by noise level and by place.

    cap, floor: an error of x0 counts floor + min(SNR, cap) at SNR = alpha^2 / sigma^2, whatever the network predicts;
    as an error of the network's own output that is this times c_out^2. With floor 0 it is min-SNR-gamma (arXiv
    2303.09556, gamma = cap = 5): min(SNR, cap) / SNR for eps, min(SNR, cap) / (SNR + 1) for v, min(SNR, cap) for x0.
    None weighs the errors of the network's output alike on all levels (DDPM's simple loss).
    focus: positions that show an object count 1 + `focus` times their share of it, relative to the mean of their clip.
    """

    cap: float | None = None
    floor: float = 0.0
    focus: float = 0.0

    def __post_init__(self) -> None:
        if min(self.floor, self.focus, self.cap or 0.0) < 0 or (self.cap is None and self.floor):
            raise ValueError(
                f"got cap={self.cap}, floor={self.floor}, focus={self.focus}; wanted numbers of 0 or more, and a cap "
                "where there is a floor (infinity for none)"
            )

    def by_level(self, denoiser: Denoiser, t: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        """The weight of an error of the network's output at each level t > 0."""
        if self.cap is None:
            return torch.ones_like(t)
        snr = logsnr(denoiser.process, t).exp()
        c_out = coefficients(denoiser.process, denoiser.prediction, t, denoiser.sigma_data).c_out
        return (self.floor + snr.clamp(max=self.cap)) * c_out**2

    def by_place(self, example: Example) -> Float[Tensor, "f h w"]:
        """The weight of each latent position; their mean is 1. All ones where the objects are not known."""
        if example.focus is None:
            return torch.ones(example.latents[:, 0].shape)
        weight = 1 + self.focus * example.focus
        return weight / weight.mean()


@dataclass(frozen=True, kw_only=True)
class Objective:
    """PixelDance's training (arXiv 2311.10982, sec. 3.3), every part of it a setting.

    levels: the distribution of the noise levels; stratified: spread evenly over a batch, which evens out the loss (VDM,
    arXiv 2107.00630), instead of drawn one by one. The paper's are `Discrete()`, one by one.
    given: so many leading frames are the true ones, always. 1 is PixelDance; 0 leaves video from text (a class is told
    by its prompt); k predicts from the first k. The last frame is drawn from the last `last_of` of the others and
    dropped with probability `drop_last`; the text is dropped with probability `drop_text`. What noise the pictures get
    is the system's (`ImageSlots.noise`). draft: the probability that a last frame that is given is the clip's drawing
    of it (`data.drafts`) instead of a true frame; the frames to be made stay the true ones. also: a random set of
    frames that are given besides.
    video_text: whether videos are told their text; stills always are. coarse: all frames are given, each as the means
    of squares of so many latents a side; 0 for none.
    crop: of a refiner, which is asked about a square of so many latents a side in each clip; 0 for whole frames.
    teacher: what x_t is to lead to is not the clip but where this model's walk leads (distill.py).
    locate: the weight of a second question, where in each frame the object is (`misplaced`); it needs a network with
    `locate` and clips with focus. Pixels ask it too, but faintly: where noise hides the video, only this makes a small
    network read from the text which way things move.
    """

    levels: Levels = Uniform()
    stratified: bool = True
    weight: Weight = Weight()
    given: int = 1
    last_of: int = 3
    drop_last: float = 0.25
    drop_text: float = 0.1
    draft: float = 0.0
    also: RandomSet | None = None
    locate: float = 0.0
    video_text: bool = True
    coarse: int = 0
    teacher: Teacher | None = None
    crop: int = 0

    def __post_init__(self) -> None:
        if self.given < 0 or self.last_of < 1:
            raise ValueError(
                f"got given={self.given}, last_of={self.last_of}; wanted 0 or more frames given, and a last frame of "
                "the last 1 or more"
            )
        if not (0 <= self.drop_last <= 1 and 0 <= self.drop_text <= 1):
            raise ValueError(
                f"got drop_last={self.drop_last}, drop_text={self.drop_text}; wanted probabilities, 0 to 1"
            )
        if not 0 <= self.draft <= 1:
            raise ValueError(f"got draft={self.draft}; wanted a probability, 0 to 1")
        if self.locate < 0 or self.crop < 0:
            raise ValueError(f"got locate={self.locate}, crop={self.crop}; wanted 0 or more of both")

    def draw(self, count: int, rng: Generator) -> Float[Tensor, "{count}"]:
        """The noise levels of a whole batch, of which each process or accumulation step then takes its slice."""
        if self.stratified:
            return self.levels((torch.arange(count) + torch.rand(1, generator=rng)) / count)
        return self.levels(torch.rand(count, generator=rng))

    def by_place(self, batch: Sequence[Example]) -> Float[Tensor, "b f 1 h w"]:
        """The weights of the places of a batch (`Weight.by_place`)."""
        return torch.stack([self.weight.by_place(example) for example in batch])[:, :, None]

    def instruct(self, example: Example, rng: Generator) -> Instruction:
        """The instruction that a clip is trained on; a clip of one frame is an image, told by its text alone.

        Raises ValueError for a clip with no frame besides those given, and for one without the drawing that it is to be
        trained on.
        """
        length = len(example.latents)
        drop_last, drop_text, place = torch.rand(3, generator=rng).tolist()
        frames: dict[int, Image | Latent] = {}
        if length > 1:
            if length <= self.given:
                raise ValueError(
                    f"got a clip of {length} frames with the first {self.given} given, which leaves nothing to learn; "
                    "wanted longer clips, or a smaller `given`"
                )
            frames = {index: example.latents[index] for index in range(self.given)}
            if drop_last >= self.drop_last:
                frames[LAST] = example.latents[length - 1 - int(place * min(self.last_of, length - self.given))]
                # Drawn only where drafts are asked for: without them a run takes the very numbers it always took.
                if self.draft and torch.rand(1, generator=rng).item() < self.draft:
                    frames[LAST] = _drawing(example)
            if self.also is not None:
                frames |= {index: example.latents[index] for index in self.also(length, rng)}
            if self.coarse:
                frames = dict(enumerate(coarse(example.latents, self.coarse)))
        told = drop_text >= self.drop_text and (self.video_text or length == 1)
        text = example.text if told else ""
        return Instruction(text=text, frames=frames, length=length, fps=example.fps, size=example.size)


def coarse(latents: Float[Tensor, "f c h w"], side: int) -> Float[Tensor, "f c h w"]:
    """What a stage of lower resolution would leave, as large as before: the means of squares of `side` latents."""
    return F.interpolate(F.avg_pool2d(latents, side), scale_factor=side, mode="nearest")


def _drawing(example: Example) -> Latent:
    if example.drawn is None:
        raise ValueError(
            "got a clip without a drawing of its last frame, and draft > 0; wanted a source that draws them, such as "
            "data.drafts.Drafts(source=...), or draft=0"
        )
    return example.drawn


def loss(
    parts: Parts,
    objective: Objective,
    batch: Sequence[Example],
    t: Float[Tensor, "b"],
    rngs: Sequence[Generator],
    precision: torch.dtype = torch.float32,
) -> Float[Tensor, ""]:
    """The mean training loss of clips of one length and size.

    t: the noise level of each, from `Objective.draw`. rngs: a CPU generator for each, from which comes all else that is
    random about it. precision: that of the networks (bfloat16: autocast); all else is float32.
    """
    system, slots, device = parts.system, parts.system.condition, next(parts.net.parameters()).device
    autocast = torch.autocast(device.type, precision, enabled=precision != torch.float32)
    x0 = torch.stack([example.latents for example in batch]).to(device, torch.float32)
    eps = system.noise(x0, rngs)
    asked = [objective.instruct(example, rng) for example, rng in zip(batch, rngs, strict=True)]
    shares = noise_share(system.process, t).tolist()
    asked = [noised(a, slots, picture_noise(a, slots, rng), v) for a, rng, v in zip(asked, rngs, shares, strict=True)]
    cond = condition(
        asked,
        text=autocast(parts.text.__call__),
        slots=slots,
        shape=(x0.shape[2], x0.shape[3], x0.shape[4]),
        vector=system.vector,
        reads=system.text.reads,
    )
    if "refiner" in system.trained:
        weight = objective.by_place(batch).to(device)
        return autocast(refining)(parts, x0, eps, t.to(device), cond, weight, rngs, objective.crop)
    if objective.crop:
        raise ValueError(f"got crop={objective.crop} and trained={system.trained}; crops are for a refiner: take 0")
    if objective.teacher is not None:
        x0, eps = objective.teacher.aims(system, x0, eps, t, asked, precision)
    # Where its input needs no gradient and its weights do, torch's group norm crashes in backward (2.13, on a CPU,
    # channels last). Only a partly frozen network has such layers; there the gradient goes on to the network's input.
    x0.requires_grad_(not all(weight.requires_grad for weight in parts.net.parameters()))
    t = t.to(device)
    found: dict[str, Tensor] = {}
    denoiser = replace(parts.denoiser, net=autocast(partial(parts.net, found=found)))
    error = denoiser.error(x0, eps, t, cond)
    weight = objective.by_place(batch).to(device) * objective.weight.by_level(denoiser, t)[:, None, None, None, None]
    value = (weight * error.square()).mean()
    return value + objective.locate * misplaced(found, batch) if objective.locate else value


def misplaced(found: Mapping[str, Tensor], batch: Sequence[Example]) -> Float[Tensor, ""]:
    """How far the found places are from the true ones: KL(p | q), the mean over all frames that show an object.

    p: the object's share of each position, as a distribution over the frame; q: softmax of the logits found["place"].
    Raises ValueError where the network finds none, or the clips do not say.
    """
    if "place" not in found or any(each.focus is None for each in batch):
        raise ValueError(
            "got an objective with `locate`; wanted a network with UNetConfig(locate=True), and clips that know their "
            "objects (Clip.focus)"
        )
    logits = found["place"].float().flatten(2)
    p = torch.stack([each.focus for each in batch if each.focus is not None]).to(logits).flatten(2)
    shown = p.sum(2) > 0
    p = p / p.sum(2, keepdim=True).clamp(min=1e-9)
    apart = (torch.xlogy(p, p) - p * logits.log_softmax(2)).sum(2)
    return (apart * shown).sum() / shown.sum().clamp(min=1)
