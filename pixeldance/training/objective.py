"""What training asks of a model: at which noise levels, with which instruction, weighed how.

loss = mean of weight * |F(c_in x_t, c_noise, cond) - target|^2,   x_t = alpha x0 + sigma eps
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.condition import condition
from pixeldance.diffusion.process import logsnr
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts


@dataclass(frozen=True, kw_only=True)
class Example:
    """A captioned clip in the codec's latents.

    focus: for each latent position the share of its pixels that belong to an object, 0 to 1.
    """

    text: str
    latents: Float[Tensor, "f c h w"]
    focus: Float[Tensor, "f h w"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """PixelDance's training (arXiv 2311.10982, sec. 3.3) and the weights of its loss.

    The first frame is always the true one. The last frame is drawn from the last `last_of` true frames and dropped
    with probability `drop_last`; the text is dropped with probability `drop_text`. What noise the condition gets is
    the system's. In the loss, positions that show an object weigh 1 + `focus`, and noise levels 1 + min(SNR,
    `snr_cap`): 0 weighs all levels alike.
    """

    last_of: int = 3
    drop_last: float = 0.25
    drop_text: float = 0.1
    focus: float = 0.0
    snr_cap: float = 0.0

    def instruct(self, example: Example, rng: Generator) -> Instruction:
        """The instruction that a clip is trained on; a clip of one frame is an image, told by its text alone."""
        length = len(example.latents)
        frames = {FIRST: example.latents[0]} if length > 1 else {}
        drop_last, drop_text, place = torch.rand(3, generator=rng).tolist()
        if length > 1 and drop_last >= self.drop_last:
            frames[LAST] = example.latents[length - 1 - int(place * min(self.last_of, length))]
        text = "" if drop_text < self.drop_text else example.text
        return Instruction(text=text, frames=frames, length=length)


def loss(parts: Parts, objective: Objective, batch: Sequence[Example], rng: Generator) -> Float[Tensor, ""]:
    """The training loss of a batch of clips of one length; everything random comes from `rng`.

    Noise levels are uniform in t and stratified over the batch, which evens out the loss (VDM, arXiv 2107.00630).
    """
    device = next(parts.net.parameters()).device
    x0 = torch.stack([example.latents for example in batch]).to(device)
    t = (torch.arange(len(batch)) + torch.rand(1, generator=rng)) / len(batch)
    t = 1e-3 + (1 - 1e-3) * t
    rngs = [rng] * len(batch)
    eps = parts.system.noise(x0, rngs)
    cond = condition(
        [objective.instruct(example, rng) for example in batch],
        text=parts.text,
        slots=parts.system.condition,
        shape=(x0.shape[2], x0.shape[3], x0.shape[4]),
        encode=lambda instruction, frame: torch.as_tensor(instruction.frames[frame]),
        rngs=rngs,
        vector=parts.system.net.vector > 0,
    )
    error = parts.denoiser.error(x0, eps, t.to(device), cond)
    weight = 1 + objective.focus * torch.stack([example.focus for example in batch]).to(device)
    weight = weight / weight.mean()
    snr = logsnr(parts.system.process, t.to(device)).exp()
    weight = weight * (1 + snr.clamp(max=objective.snr_cap))[:, None, None, None]
    return (weight[:, :, None] * error.square()).mean()
