"""LPIPS, the learned perceptual distance of pictures (arXiv 1801.03924), version 0.1, on VGG-16 or AlexNet.

Features of five layers are brought to length 1 at each place; their squared differences, weighed by learned weights,
are averaged over the picture and added up. Names of weights are those of `lpips.LPIPS`
(github.com/richzhang/PerceptualSimilarity, lpips/lpips.py).
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

RESIZE = "none; [-1, 1], then shifted and scaled"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Layers by their number in torchvision's `features`, slice by slice: (number, channels, kernel, stride) of a
# convolution, after which a ReLU comes, or (number, kernel) of a maximum, in steps of 2.
Layer = tuple[int, int, int, int] | tuple[int, int]
SLICES: dict[str, tuple[tuple[Layer, ...], ...]] = {
    "vgg": (
        ((0, 64, 3, 1), (2, 64, 3, 1)),
        ((4, 2), (5, 128, 3, 1), (7, 128, 3, 1)),
        ((9, 2), (10, 256, 3, 1), (12, 256, 3, 1), (14, 256, 3, 1)),
        ((16, 2), (17, 512, 3, 1), (19, 512, 3, 1), (21, 512, 3, 1)),
        ((23, 2), (24, 512, 3, 1), (26, 512, 3, 1), (28, 512, 3, 1)),
    ),
    "alex": (
        ((0, 64, 11, 4),),
        ((2, 3), (3, 192, 5, 1)),
        ((5, 3), (6, 384, 3, 1)),
        ((8, 256, 3, 1),),
        ((10, 256, 3, 1),),
    ),
}


class LPIPS(nn.Module):
    """kind: "vgg" or "alex". Forward takes two batches of pictures and gives their distances, (b,), 0 or more."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net = nn.Module()
        before = 3
        for number, layers in enumerate(SLICES[kind]):
            part = nn.Sequential()
            for layer in layers:
                if len(layer) == 2:
                    part.add_module(str(layer[0]), nn.MaxPool2d(layer[1], 2))
                    continue
                place, channels, kernel, stride = layer
                around = 2 if kernel == 11 else kernel // 2  # AlexNet's first layer has a narrower border
                part.add_module(str(place), nn.Conv2d(before, channels, kernel, stride, around))
                part.add_module(str(place + 1), nn.ReLU())
                before = channels
            self.net.add_module(f"slice{number + 1}", part)
            weigh = nn.Sequential(nn.Dropout(), nn.Conv2d(before, 1, 1, bias=False))
            self.add_module(f"lin{number}", nn.ModuleDict({"model": weigh}))

    def forward(self, one: UInt8[Tensor, "b h w 3"], other: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b"]:
        x, y = prepared(one), prepared(other)
        total = torch.zeros(len(x))
        for number in range(5):
            part = self.get_submodule(f"net.slice{number + 1}")
            x, y = part(x), part(y)
            apart = (_unit(x) - _unit(y)) ** 2
            total = total + self.get_submodule(f"lin{number}.model")(apart).mean(dim=(1, 2, 3))
        return total


def kind_of(shapes: dict[str, tuple[int, ...]]) -> str:
    """Which network weights of these shapes are for, "vgg" unless the first kernel is AlexNet's."""
    return "alex" if shapes.get("net.slice1.0.weight", ())[-1:] == (11,) else "vgg"


def prepared(pictures: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Pictures as the network takes them (`RESIZE`)."""
    x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    shift, scale = (torch.tensor(each)[:, None, None] for each in (SHIFT, SCALE))
    return (x - shift) / scale


def _unit(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return x / torch.sqrt(1e-8 + (x**2).sum(dim=1, keepdim=True))


def distances(net: LPIPS, one: UInt8[Tensor, "b h w 3"], other: UInt8[Tensor, "c i j 3"]) -> list[float]:
    """The distance of each pair. Raises ValueError for pictures of other sizes or too small for the network."""
    if one.shape != other.shape or min(one.shape[1:3]) < 32:
        raise ValueError(
            f"got pictures of {tuple(one.shape)} and {tuple(other.shape)}; wanted equal ones of 32 x 32 up"
        )
    with torch.inference_mode():
        return [float(each) for each in net(one, other)]
