"""Inception-v3 as FID and the inception score take it: the network of 2015-12-05, in the form that is used with torch.

Written after arXiv 1512.00567 and the description of the port (github.com/mseitzer/pytorch-fid, src/pytorch_fid/
inception.py), whose names of weights it has. It is not torchvision's Inception: average pooling leaves out the border,
the last block pools by maximum, and there are 1008 classes.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

SIDE, WIDTH, CLASSES = 299, 2048, 1008
RESIZE = f"{SIDE} x {SIDE}, bilinear without antialiasing, shape not kept; [-1, 1]"
WEIGHTS = "pt_inception-2015-12-05-6726825d.pth of github.com/mseitzer/pytorch-fid"

Kernel = tuple[int, int]
AVERAGE, MAXIMUM = "average", "maximum"


class Unit(NamedTuple):
    """A convolution as the tables below have it."""

    name: str
    channels: int
    kernel: Kernel


Chain = tuple[str | Unit | tuple[Unit, Unit], ...]  # of a block; a pair of units is a fork


class Conv(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, before: int, channels: int, kernel: Kernel, stride: int = 1, *, same: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if same else (0, 0)
        self.conv = nn.Conv2d(before, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return functional.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains of units side by side, their outputs joined. halves: the last unit of each chain, or the lone maximum,
    goes in steps of 2 and takes no border."""

    def __init__(self, before: int, chains: tuple[Chain, ...], *, halves: bool = False) -> None:
        super().__init__()
        self.chains, self.halves, self.width = chains, halves, 0
        for chain in chains:
            channels = before
            for place, step in enumerate(chain):
                if isinstance(step, str):
                    continue
                forks = (step,) if isinstance(step, Unit) else step
                last = halves and place == len(chain) - 1
                for name, out, kernel in forks:
                    self.add_module(name, Conv(channels, out, kernel, 2 if last else 1, same=not last))
                channels = sum(out for _, out, _ in forks)
            self.width += channels

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return torch.cat([self._chain(chain, x) for chain in self.chains], dim=1)

    def _chain(self, chain: Chain, x: Tensor) -> Tensor:
        for step in chain:
            if step == AVERAGE:
                x = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            elif step == MAXIMUM:
                x = functional.max_pool2d(x, 3, 2) if self.halves else functional.max_pool2d(x, 3, 1, 1)
            elif isinstance(step, Unit):
                x = self.get_submodule(step.name)(x)
            elif not isinstance(step, str):
                x = torch.cat([self.get_submodule(each.name)(x) for each in step], dim=1)
        return x


def _a(pool: int) -> tuple[Chain, ...]:
    return (
        (Unit("branch1x1", 64, (1, 1)),),
        (Unit("branch5x5_1", 48, (1, 1)), Unit("branch5x5_2", 64, (5, 5))),
        (Unit("branch3x3dbl_1", 64, (1, 1)), Unit("branch3x3dbl_2", 96, (3, 3)), Unit("branch3x3dbl_3", 96, (3, 3))),
        (AVERAGE, Unit("branch_pool", pool, (1, 1))),
    )


def _c(inner: int) -> tuple[Chain, ...]:
    across, down = (1, 7), (7, 1)
    double = ((inner, (1, 1)), (inner, down), (inner, across), (inner, down), (192, across))
    return (
        (Unit("branch1x1", 192, (1, 1)),),
        (Unit("branch7x7_1", inner, (1, 1)), Unit("branch7x7_2", inner, across), Unit("branch7x7_3", 192, down)),
        tuple(
            Unit(f"branch7x7dbl_{place}", channels, kernel) for place, (channels, kernel) in enumerate(double, start=1)
        ),
        (AVERAGE, Unit("branch_pool", 192, (1, 1))),
    )


def _e(pool: str) -> tuple[Chain, ...]:
    return (
        (Unit("branch1x1", 320, (1, 1)),),
        (Unit("branch3x3_1", 384, (1, 1)), (Unit("branch3x3_2a", 384, (1, 3)), Unit("branch3x3_2b", 384, (3, 1)))),
        (
            Unit("branch3x3dbl_1", 448, (1, 1)),
            Unit("branch3x3dbl_2", 384, (3, 3)),
            (Unit("branch3x3dbl_3a", 384, (1, 3)), Unit("branch3x3dbl_3b", 384, (3, 1))),
        ),
        (pool, Unit("branch_pool", 192, (1, 1))),
    )


_B: tuple[Chain, ...] = (
    (Unit("branch3x3", 384, (3, 3)),),
    (Unit("branch3x3dbl_1", 64, (1, 1)), Unit("branch3x3dbl_2", 96, (3, 3)), Unit("branch3x3dbl_3", 96, (3, 3))),
    (MAXIMUM,),
)
_D: tuple[Chain, ...] = (
    (Unit("branch3x3_1", 192, (1, 1)), Unit("branch3x3_2", 320, (3, 3))),
    (
        Unit("branch7x7x3_1", 192, (1, 1)),
        Unit("branch7x7x3_2", 192, (1, 7)),
        Unit("branch7x7x3_3", 192, (7, 1)),
        Unit("branch7x7x3_4", 192, (3, 3)),
    ),
    (MAXIMUM,),
)
_MIXED: dict[str, dict[str, Any]] = {
    "Mixed_5b": {"before": 192, "chains": _a(32)},
    "Mixed_5c": {"before": 256, "chains": _a(64)},
    "Mixed_5d": {"before": 288, "chains": _a(64)},
    "Mixed_6a": {"before": 288, "chains": _B, "halves": True},
    "Mixed_6b": {"before": 768, "chains": _c(128)},
    "Mixed_6c": {"before": 768, "chains": _c(160)},
    "Mixed_6d": {"before": 768, "chains": _c(160)},
    "Mixed_6e": {"before": 768, "chains": _c(192)},
    "Mixed_7a": {"before": 768, "chains": _D, "halves": True},
    "Mixed_7b": {"before": 1280, "chains": _e(AVERAGE)},
    "Mixed_7c": {"before": 2048, "chains": _e(MAXIMUM)},
}


class Inception(nn.Module):
    """Forward takes pictures as they are and gives the features of FID, (b, 2048), and the logits, (b, 1008)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, (3, 3), 2, same=False)
        self.Conv2d_2a_3x3 = Conv(32, 32, (3, 3), same=False)
        self.Conv2d_2b_3x3 = Conv(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Conv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Conv(80, 192, (3, 3), same=False)
        for name, settings in _MIXED.items():
            self.add_module(name, Mixed(**settings))
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, pictures: UInt8[Tensor, "b h w 3"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k"]]:
        x = prepared(pictures)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = functional.max_pool2d(x, 3, 2)
        for name in _MIXED:
            x = self.get_submodule(name)(x)
        features = x.mean(dim=(2, 3))
        return features, self.fc(features)


def prepared(pictures: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 299 299"]:
    """Pictures as the network takes them (`RESIZE`)."""
    x = pictures.permute(0, 3, 1, 2).float() / 255
    return 2 * functional.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
