"""The 3D UNet by inflation: Stable Diffusion's 2D UNet with a sense of time after every layer (arXiv 2311.10982).

The noisy video and the concat condition are joined on the channel axis; text comes by cross-attention, the noise
level and the vector condition by an embedding. `temporal="none"` leaves the 2D image model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pixeldance.nets.attention import Keys, sinusoids
from pixeldance.nets.blocks import MLP, Convolution, ResBlock, SpaceTimeTransformer, Upsample, channels_last
from pixeldance.nets.image_tokens import QueryTransformer
from pixeldance.nets.inside import InsideTime
from pixeldance.nets.recompute import recomputed
from pixeldance.nets.temporal import (
    Mixing,
    NormOver,
    Positions,
    Sees,
    TemporalAttention,
    frame_positions,
    norm_silu,
    zero,
)


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """The geometry of a UNet; the defaults are Stable Diffusion 2.1's, inflated: the paper's configuration.

    channels: of the latents. concat, tokens, vector: channels or width of those conditions, 0 where absent.
    widths: channels on each level, the picture halved between them. attention: which levels have it.
    layers: residual blocks a level (one more on the way up). head_width: channels of a head, one number or one a level.
    temporal_convolutions, temporal_attentions: layers in each temporal branch. temporal_place: a temporal convolution
    stands behind every 2D one, or behind a whole residual block; "inside": both as in `inside.py`, and of the fields
    below only temporal_middle counts. temporal_norm, temporal_positions: see `temporal.py`.
    temporal_everywhere: also levels without 2D attention have attention over time. temporal_middle: so has the middle.
    temporal_start: heads of one more, behind the first convolution; 0 for none. The defaults are PixelDance's,
    other values those of the published networks that `pixeldance.exchange` reads.
    temporal_mixing: what stands for the temporal convolutions: in residual blocks only, where it is none of them.
    temporal_sees: which frames each frame reads. keys: what its pixels attend to (`attention.KEYS`).
    film: the embedding scales and shifts instead of being added. frame_embedding: it also knows the frame number.
    carry: the output also holds gated copies of the input, x and the concat channels from each of these on: the
    first frame's and the last one's, where their slots are tiled. A small network then has only what changes to find.
    locate: it can also tell where in each frame the object is, if asked: a head of its own on the last features, which
    training asks (`Objective.locate`) and sampling does not.
    eps: added to variances in the norms of residual blocks on the way up, and before attention on the way down; in the
    others it is 1e-5.
    image_tokens: so many tokens are made of the concat channels of the first frame and read beside the text's
    (`image_tokens.py`); 0 for none.
    """

    channels: int = 4
    concat: int = 5
    tokens: int = 1024
    vector: int = 0
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    attention: tuple[bool, ...] = (True, True, True, False)
    layers: int = 2
    head_width: int | tuple[int, ...] = 64
    feed_mult: int = 4
    groups: int = 32
    temporal: Literal["attention+convolution", "none"] = "attention+convolution"
    temporal_convolutions: int = 2
    temporal_attentions: int = 2
    temporal_place: Literal["convolution", "block", "inside"] = "convolution"
    temporal_norm: NormOver = "frame"
    temporal_positions: Positions = "ends"
    temporal_everywhere: bool = False
    temporal_middle: bool = True
    temporal_start: int = 0
    temporal_mixing: Mixing = "convolution"
    temporal_sees: Sees = "all"
    keys: Keys = "own"
    film: bool = False
    frame_embedding: bool = False
    carry: tuple[int, ...] = ()
    locate: bool = False
    eps: float = 1e-5
    image_tokens: int = 0

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.attention):
            raise ValueError(
                f"got {len(self.widths)} widths and {len(self.attention)} attention switches; wanted one a level"
            )
        if isinstance(self.head_width, tuple) and len(self.head_width) != len(self.widths):
            raise ValueError(
                f"got head widths {self.head_width} for {len(self.widths)} levels; wanted one number or one a level"
            )
        if self.image_tokens and not (self.concat and self.tokens):
            raise ValueError(
                f"got image_tokens={self.image_tokens} with concat={self.concat}, tokens={self.tokens}; wanted both: a "
                "picture to read, and a text to stand beside"
            )

    def heads_at(self, level: int) -> int:
        """Channels of an attention head on a level, counted from 0, the finest."""
        return self.head_width[level] if isinstance(self.head_width, tuple) else self.head_width


class Level(nn.Module):
    """One residual block and, where the level has attention, one transformer."""

    def __init__(
        self,
        config: UNetConfig,
        c_in: int,
        c_out: int,
        emb: int,
        *,
        attention: bool,
        temporal: bool,
        head_width: int,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        convolutions = config.temporal_convolutions if config.temporal != "none" else 0
        behind_all, inside = config.temporal_place == "block", config.temporal_place == "inside"
        self.block = ResBlock(
            c_in,
            c_out,
            emb,
            groups=config.groups,
            temporal=0 if behind_all or inside else convolutions,
            film=config.film,
            after=convolutions if behind_all else 0,
            mixing=config.temporal_mixing,
            residual=inside and convolutions > 0,
            eps=eps,
        )
        in_time = partial(
            TemporalAttention,
            c_out,
            head_width,
            config.feed_mult,
            config.groups,
            config.temporal_attentions,
            over=config.temporal_norm,
            positions=config.temporal_positions,
            sees=config.temporal_sees,
        )
        temporal = temporal and config.temporal != "none" and config.temporal_attentions > 0
        self.transformer = (
            SpaceTimeTransformer(
                c_out,
                head_width,
                config.tokens or None,
                config.feed_mult,
                groups=config.groups,
                temporal=in_time if temporal and not inside else None,
                keys=config.keys,
                inside=partial(InsideTime, c_out, head_width, config.tokens or None, config.feed_mult)
                if temporal and inside
                else None,
                image_tokens=config.image_tokens,
            )
            if attention
            else None
        )
        self.temporal = in_time() if temporal and not attention else None

    def forward(
        self,
        x: Float[Tensor, "bf c h w"],
        emb: Float[Tensor, "bf e"],
        frames: int,
        tokens: Float[Tensor, "b n d"] | None,
        mask: Bool[Tensor, "b n"] | None,
    ) -> Float[Tensor, "bf o h w"]:
        x = self.block(x, emb, frames)
        x = x if self.transformer is None else self.transformer(x, frames, tokens, mask)
        return x if self.temporal is None else self.temporal(x, frames)


class Carry(nn.Module):
    """Copies of the inputs, x and the concat channels from each of `starts` on, each with a gain for every channel and
    position that the features set. The first concat copy begins at gain 1, the others at 0."""

    def __init__(self, width: int, channels: int, starts: tuple[int, ...]) -> None:
        super().__init__()
        self.channels, self.starts = channels, starts
        self.gain = zero(nn.Conv2d(width, channels * (1 + len(starts)), 1))
        self.begin_with(1)

    def begin_with(self, copy: int) -> None:
        """Set the gains to 1 for one copy, counted from x, 0, and to 0 for the others."""
        assert self.gain.bias is not None
        with torch.no_grad():
            self.gain.bias.zero_().unflatten(0, (-1, self.channels))[copy] = 1.0

    def forward(
        self, h: Float[Tensor, "bf d h w"], x: Float[Tensor, "bf c h w"], concat: Float[Tensor, "bf k h w"]
    ) -> Float[Tensor, "bf c h w"]:
        copies = torch.cat([x, *(concat[:, start : start + self.channels] for start in self.starts)], dim=1)
        return (self.gain(h) * copies).unflatten(1, (-1, self.channels)).sum(1)


class UNet(nn.Module):
    """The denoising network F(c_in x_t, c_noise, conditions).

    With `checkpointing` a backward pass keeps only what goes from level to level and computes the rest of each again
    (arXiv 1604.06174): a fraction of the memory, about a third more time, the same gradients.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        widths, groups = config.widths, config.groups
        timed = config.temporal != "none"
        everywhere = (config.temporal_place, config.temporal_mixing) == ("convolution", "convolution")
        temporal = config.temporal_convolutions if timed and everywhere else 0
        emb = 4 * widths[0]
        c_input = config.channels + config.concat
        self.level_embedding = MLP(widths[0], emb)
        self.vector_embedding = MLP(config.vector, emb) if config.vector else None
        self.frame_embedding = MLP(emb + widths[0], emb) if config.frame_embedding and timed else None
        if self.frame_embedding is not None:
            zero(self.frame_embedding.second)
        self.conv_in = Convolution(c_input, widths[0], groups=groups, temporal=temporal)
        self.temporal_start = self._start(config) if timed and config.temporal_start else None

        def level(index: int, c_in: int, c_out: int, *, eps: float = 1e-5) -> Level:
            attention = config.attention[index]
            there = attention or config.temporal_everywhere
            width = config.heads_at(index)
            return Level(config, c_in, c_out, emb, attention=attention, temporal=there, head_width=width, eps=eps)

        self.image_tokens = (
            QueryTransformer(config.concat, config.tokens, config.image_tokens, config.heads_at(-1), config.feed_mult)
            if config.image_tokens
            else None
        )
        skips = [widths[0]]
        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        width = widths[0]
        for index, wider in enumerate(widths):
            for _ in range(config.layers):
                eps = config.eps if config.attention[index] else 1e-5
                self.down.append(level(index, width, wider, eps=eps))
                width = wider
                skips.append(width)
            if index < len(widths) - 1:
                self.downsample.append(Convolution(width, width, stride=2, groups=groups, temporal=temporal))
                skips.append(width)

        middle, heads = config.temporal_middle, config.heads_at(-1)
        self.middle_in = Level(config, width, width, emb, attention=True, temporal=middle, head_width=heads)
        self.middle_out = Level(config, width, width, emb, attention=False, temporal=False, head_width=heads)

        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for index, narrower in reversed(list(enumerate(widths))):
            for _ in range(config.layers + 1):
                self.up.append(level(index, width + skips.pop(), narrower, eps=config.eps))
                width = narrower
            if index > 0:
                self.upsample.append(Upsample(width, groups=groups, temporal=temporal))

        self.norm_out = nn.GroupNorm(groups, width)
        self.conv_out = nn.Conv2d(width, config.channels, 3, padding=1)
        self.carry = Carry(width, config.channels, config.carry) if config.carry else None
        if self.carry is not None:
            zero(self.conv_out)
        self.locate = nn.Conv2d(width, 1, 1) if config.locate else None

    def forward(
        self,
        x: Float[Tensor, "b f c h w"],
        c_noise: Float[Tensor, "..."],
        *,
        tokens: Float[Tensor, "b n d"] | None = None,
        mask: Bool[Tensor, "b n"] | None = None,
        concat: Float[Tensor, "b f k h w"] | None = None,
        vector: Float[Tensor, "b v"] | None = None,
        residuals: tuple[Tensor, ...] | None = None,
        found: dict[str, Tensor] | None = None,
        deep: dict[str, Tensor] | None = None,
    ) -> Float[Tensor, "b f c h w"]:
        """`c_noise` is (b,) or (b, f); `residuals`, each (b, f, c', h', w'), are added to the features kept for the way
        up, fine to coarse: after the first convolution, each level's layers and each downsampling. `found` is given
        what a network with `locate` finds besides: "place", (b, f, h, w), the logit that the object is there.
        `deep` is given what comes up from below the finest level; where it holds that already, from a pass before on
        videos of the same shape, only the finest level is computed (`diffusion.reuse`).

        Height and width must be multiples of 2^(levels - 1).
        """
        b, f = x.shape[:2]
        self._check(x, c_noise, tokens, concat, vector)
        emb = self._embed(c_noise, vector, b, f)
        if self.image_tokens is not None and concat is not None and tokens is not None:
            picture = self.image_tokens(concat[:, 0])
            tokens = torch.cat([tokens, picture.to(tokens)], dim=1)
            mask = None if mask is None else torch.cat([mask, mask.new_ones(picture.shape[:2])], dim=1)
        frames = x.flatten(0, 1)
        h = channels_last(frames if concat is None else torch.cat([frames, concat.flatten(0, 1)], dim=1))

        def through(level: nn.Module, h: Tensor) -> Tensor:
            given = (h, emb, f, tokens, mask)
            return recomputed(level, *given) if self.checkpointing else level(*given)

        h = self.conv_in(h, f)
        if self.temporal_start is not None:
            h = self.temporal_start(h, f)
        kept = [h]
        down, up = iter(self.down), iter(self.up)
        below = None if deep is None else deep.get("below")
        for index in range(len(self.config.widths) if below is None else 1):
            for _ in range(self.config.layers):
                h = through(next(down), h)
                kept.append(h)
            if index < len(self.downsample) and below is None:
                h = self.downsample[index](h, f)
                kept.append(h)
        if residuals is not None:
            residuals = residuals if below is None else residuals[: len(kept)]
            got, wanted = [tuple(each.shape) for each in residuals], [(b, f, *each.shape[1:]) for each in kept]
            if got != wanted:
                raise ValueError(f"got residuals of shapes {got}; this network wants {wanted}")
            kept = [each + added.flatten(0, 1) for each, added in zip(kept, residuals, strict=True)]
        if below is None:
            below = through(self.middle_out, through(self.middle_in, h))
            for upsample in self.upsample:
                for _ in range(self.config.layers + 1):
                    below = through(next(up), torch.cat([below, kept.pop()], dim=1))
                below = upsample(below, f)
            if deep is not None:
                deep["below"] = below
        h = below
        for level in list(self.up)[-len(kept) :]:
            h = through(level, torch.cat([h, kept.pop()], dim=1))
        h = recomputed(norm_silu, self.norm_out, h)
        out = self.conv_out(h)
        if found is not None and self.locate is not None:
            found["place"] = self.locate(h).unflatten(0, (b, f))[:, :, 0]
        if self.carry is not None and concat is not None:
            out = out + self.carry(h, frames, concat.flatten(0, 1))
        return out.unflatten(0, (b, f))

    def _start(self, config: UNetConfig) -> TemporalAttention:
        width, inner = config.heads_at(0), config.temporal_start * config.heads_at(0)
        depth, over, positions = config.temporal_attentions, config.temporal_norm, config.temporal_positions
        given = (config.widths[0], width, config.feed_mult, config.groups, depth)
        return TemporalAttention(*given, over=over, positions=positions, inner=inner)

    def _embed(self, c_noise: Tensor, vector: Tensor | None, b: int, f: int) -> Float[Tensor, "bf e"]:
        """One row a frame from the start: what each is then computed with does not depend on how many share a video."""
        per_frame = c_noise if c_noise.ndim == 2 else c_noise[:, None].expand(b, f)
        sines = sinusoids(per_frame.flatten(), self.config.widths[0])
        level = self.level_embedding(sines.to(self.level_embedding.first.weight))
        if self.vector_embedding is not None and vector is not None:
            level = level + self.vector_embedding(vector.repeat_interleave(f, dim=0))
        if self.frame_embedding is not None and f > 1:
            position = frame_positions(f, self.config.widths[0]).to(level).repeat(b, 1)
            level = level + self.frame_embedding(torch.cat([level, position], dim=-1))
        return level

    def _check(
        self, x: Tensor, c_noise: Tensor, tokens: Tensor | None, concat: Tensor | None, vector: Tensor | None
    ) -> None:
        config, step = self.config, 2 ** (len(self.config.widths) - 1)
        got = (x.shape[2], *(0 if d is None else d.shape[i] for d, i in ((tokens, 2), (concat, 2), (vector, 1))))
        wanted = (config.channels, config.tokens, config.concat, config.vector)
        if got != wanted:
            raise ValueError(f"got (channels, tokens, concat, vector) of {got}; this network wants {wanted}")
        if x.shape[3] % step or x.shape[4] % step:
            raise ValueError(
                f"got latents of {x.shape[3]} x {x.shape[4]}; this network wants multiples of {step} on both sides"
            )
        if c_noise.shape not in (x.shape[:1], x.shape[:2]):
            raise ValueError(
                f"got noise levels of shape {tuple(c_noise.shape)}; wanted one a video, {tuple(x.shape[:1])}, "
                f"or one a frame, {tuple(x.shape[:2])}"
            )

    def temporal_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The named parameters that inflation added: all that a 2D network of this geometry lacks."""
        return (
            (name, parameter)
            for name, parameter in self.named_parameters()
            if any(part in name for part in (".temporal.", ".residual.", ".inside."))
            or name.startswith(("frame_embedding.", "temporal_start."))
        )
