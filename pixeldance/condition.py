"""Instructions to conditions: how texts and pictures reach the five doors of a network.

The picture condition is PixelDance's c_image = [f_first, PAD, ..., PAD, f_last] (arXiv 2311.10982, sec. 3.3), the
latents of the given frames at their places in time, joined to the noisy video on the channel axis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pixeldance.diffusion.denoise import Cond
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.text import TextCode


@dataclass(frozen=True, kw_only=True)
class ImageSlots:
    """How the first and the last frame are laid out. The paper leaves the first three open: they are switches.

    pad: the value between the frames and in place of a frame that is not given. mask: a channel for each slot,
    1 where a frame is given. tile: each slot is repeated over all frames in channels of its own, instead of
    standing at its place in time.
    noise: the share of noise variance in the latents of the first and of the last slot, c <- sqrt(1 - n) c +
    sqrt(n) eps; the paper's is 0.10 (step 100 of 1000) on both. noise_at_inference: also when sampling.
    """

    pad: float = 0.0
    mask: bool = True
    tile: bool = False
    noise: tuple[float, float] = (0.1, 0.1)
    noise_at_inference: bool = False

    def channels(self, latent: int) -> int:
        """How many channels the condition has for latents of `latent` channels."""
        return (latent + self.mask) * (2 if self.tile else 1)


def condition(
    instructions: Sequence[Instruction],
    *,
    text: Callable[[Sequence[str]], TextCode],
    slots: ImageSlots,
    shape: tuple[int, int, int],
    encode: Callable[[Instruction, int], Tensor],
    rngs: Sequence[Generator] | None = None,
    vector: bool = True,
) -> Cond:
    """The conditions of a batch of instructions of one length.

    shape: (c, h, w) of the latents. encode(instruction, frame number) gives the latents (c, h, w) of a given frame.
    rngs: one generator per sample, where the condition latents are to be noised; None leaves them clean.
    vector: whether the network takes the text as a vector besides its tokens.
    """
    lengths = {instruction.length for instruction in instructions}
    if len(lengths) != 1:
        raise ValueError(f"got instructions of {sorted(lengths)} frames in one batch; wanted one length")
    wrong = sorted({index for each in instructions for index in each.frames} - {FIRST, LAST})
    if wrong:
        raise ValueError(f"got pictures for frames {wrong}; this model takes a first (0) and a last (-1) frame")
    code = text([instruction.text for instruction in instructions])
    given = torch.tensor([[slot in each.frames for slot in (FIRST, LAST)] for each in instructions])
    latents = torch.full((len(instructions), 2, *shape), slots.pad)
    for row, instruction in enumerate(instructions):
        for slot, frame in enumerate((FIRST, LAST)):
            if frame in instruction.frames:
                latent = encode(instruction, frame).cpu()
                latents[row, slot] = latent if rngs is None else _noised(latent, slots.noise[slot], rngs[row])
    concat = _lay_out(latents, given, slots, lengths.pop())
    return Cond(
        tokens=code.tokens,
        mask=code.mask,
        vector=code.vector if vector else None,
        concat=concat.to(code.tokens.device),
    )


def noised(instruction: Instruction, slots: ImageSlots, rng: Generator) -> Instruction:
    """The same request, its frames being latents, with the noise of their slots in them."""
    frames = {
        frame: _noised(torch.as_tensor(instruction.frames[frame]).cpu(), slots.noise[slot], rng)
        for slot, frame in enumerate((FIRST, LAST))
        if frame in instruction.frames
    }
    return replace(instruction, frames=frames)


def _noised(latent: Tensor, share: float, rng: Generator) -> Tensor:
    if share == 0:
        return latent
    return (1 - share) ** 0.5 * latent + share**0.5 * torch.randn(latent.shape, generator=rng)


def _lay_out(
    latents: Float[Tensor, "b 2 c h w"], given: Bool[Tensor, "b 2"], slots: ImageSlots, length: int
) -> Float[Tensor, "b f k h w"]:
    """The slots at their places in time, or each over all of it; stored (b, f, h, w, k)."""
    b, _, c, height, width = latents.shape
    flags = given.float()[:, :, None, None, None].expand(b, 2, 1, height, width)
    if slots.mask:
        latents = torch.cat([latents, flags], dim=2)
    if slots.tile:
        whole = latents.flatten(1, 2)[:, None].expand(b, length, -1, height, width)
    else:
        whole = torch.full((b, length, c + slots.mask, height, width), slots.pad)
        if slots.mask:
            whole[:, :, c:] = 0
        # A video of one frame has one place; a first frame given for it goes before a last one.
        for slot in (1, 0) if length == 1 else (0, 1):
            place = (0, length - 1)[slot]
            chosen = given[:, slot, None, None, None]
            whole[:, place] = torch.where(chosen, latents[:, slot], whole[:, place])
    return whole.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
