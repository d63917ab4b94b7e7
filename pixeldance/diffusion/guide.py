"""Denoise -> Denoise: everything that changes *how* a video is generated.

Each function takes a denoiser and gives another one, so that they nest freely: hold(clip(guided(...))).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pixeldance.diffusion.denoise import Cond, Denoise
from pixeldance.diffusion.process import Process, level, per_sample

Model = Callable[[Tensor, Tensor, Cond], Tensor]


Weight = float | Float[Tensor, "f"]


def guided(model: Model, mix: Sequence[tuple[Weight, Cond]]) -> Denoise:
    """A weighted sum of conditional estimates; classifier-free guidance (arXiv 2207.12598) at scale s is
    [(s, cond), (1 - s, cond without text)]. The weights are as in `mixed`.
    """
    return mixed([(weight, bound(model, cond)) for weight, cond in mix])


def bound(model: Model, cond: Cond) -> Denoise:
    """The model under one condition."""
    return lambda x, t: model(x, t, cond)


def mixed(mix: Sequence[tuple[Weight, Denoise]]) -> Denoise:
    """A weighted sum of estimates.

    A weight is one number, or one for each frame (Stable Video Diffusion, arXiv 2311.15127, app. D). The weights must
    sum to 1: then the sum means the same in x0-space, eps-space and score-space. Terms of weight 0 are not computed.
    They run one after the other: on a CPU a batch of two gains nothing and changes the bytes.
    """
    total = torch.as_tensor(sum(torch.as_tensor(weight, dtype=torch.float64) for weight, _ in mix))
    if not bool(((total - 1).abs() <= 1e-6).all()):
        raise ValueError(
            f"got guidance weights that sum to {total.tolist()}; wanted 1, e.g. [(2, cond), (-1, without)]"
        )
    terms = [(weight, denoise) for weight, denoise in mix if bool(torch.as_tensor(weight != 0).any())]
    return lambda x, t: torch.stack([_by_frame(weight, x) * denoise(x, t) for weight, denoise in terms]).sum(0)


def _by_frame(weight: Weight, x: Tensor) -> float | Tensor:
    return weight.to(x).reshape(1, -1, *(1,) * (x.ndim - 2)) if isinstance(weight, Tensor) else weight


def between(denoise: Denoise, elsewhere: Denoise, process: Process, levels: tuple[float, float]) -> Denoise:
    """One denoiser at noise levels from `levels[0]` to `levels[1]`, both included, and another one at all others.

    The levels are noise angles, 0 clean to 1 pure noise, as in `process.level`; of videos whose frames differ in
    theirs, the noisiest counts. With a guided denoiser and the bare one this is guidance in a limited interval
    (arXiv 2404.07724): outside of it one pass of the network does for two.
    """
    low, high = levels

    def denoise_at(x: Tensor, t: Tensor) -> Tensor:
        return (denoise if low <= float(level(process, t).max()) <= high else elsewhere)(x, t)

    return denoise_at


def hold(denoise: Denoise, known: Float[Tensor, "b f c h w"], mask: Bool[Tensor, "#b #f #c #h #w"]) -> Denoise:
    """Replacement conditioning (VDM, arXiv 2204.03458): keep `known` wherever `mask` is true."""
    return lambda x, t: torch.where(mask, known, denoise(x, t))


def clip(denoise: Denoise, low: float = -1.0, high: float = 1.0) -> Denoise:
    """Clamp the clean estimate to the range of the data (DDPM's clip_denoised)."""
    return lambda x, t: denoise(x, t).clamp(low, high)


def steer(denoise: Denoise, loss: Callable[[Tensor], Tensor], scale: float | Callable[[Tensor], Tensor]) -> Denoise:
    """Follow a loss: x0 - scale * d loss(x0(x)) / dx.

    With a masked squared error and scale w alpha / 2 this is VDM's reconstruction guidance (arXiv 2204.03458
    eq. 7); with -log p and scale sigma^2 / alpha it is classifier guidance. `scale` may be a function of t, and then
    gives a value for each of its levels. Gradients also flow where the caller has switched them off.
    """

    def steered(x: Tensor, t: Tensor) -> Tensor:
        # A walk may run in inference mode, whose tensors take no gradient; their copies outside it do.
        with torch.inference_mode(False), torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            x0 = denoise(x, t)
            (gradient,) = torch.autograd.grad(loss(x0).sum(), x)
        return x0.detach() - (per_sample(scale(t), x) if callable(scale) else scale) * gradient

    return steered


def windows(denoise_of: Callable[[slice], Denoise], spans: Sequence[slice]) -> Denoise:
    """Overlapping windows of frames, each with a denoiser of its own, averaged where they meet.

    The mean is the least-squares merge of MultiDiffusion (arXiv 2302.08113 eq. 5) and Gen-L-Video (2305.18264).
    The spans must cover every frame of x; a single one is the denoiser itself.
    """
    of_span = [(span, denoise_of(span)) for span in spans]
    if len(of_span) == 1 and of_span[0][0] == slice(None):
        return of_span[0][1]

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        total, count = torch.zeros_like(x), torch.zeros(x.shape[1], dtype=x.dtype, device=x.device)
        for span, denoise_span in of_span:
            total[:, span] += denoise_span(x[:, span], t[:, span] if t.ndim == 2 else t)
            count[span] += 1
        if not bool(count.all()):
            missing = torch.nonzero(count == 0).flatten().tolist()
            raise ValueError(f"got windows that leave out frames {missing}; wanted spans that cover all frames")
        return total / count.reshape(1, -1, *(1,) * (x.ndim - 2))

    return denoise


@dataclass(frozen=True, kw_only=True)
class Window:
    """A long video as overlapping windows of `length` frames, one every `stride` frames; the last ends with the video.

    The longest stride that still overlaps is length - 1; at `stride` = length the windows are independent videos.
    """

    length: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise ValueError(
                f"got windows of {self.length} frames every {self.stride}; wanted 1 <= stride <= length, which leaves "
                "no gaps"
            )

    def spans(self, frames: int) -> list[slice]:
        """The windows of a video of `frames` frames; one for all of it where it is no longer than a window."""
        if frames <= self.length:
            return [slice(None)]
        starts = [*range(0, frames - self.length, self.stride), frames - self.length]
        return [slice(start, start + self.length) for start in starts]
