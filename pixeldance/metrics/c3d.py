"""C3D, the video network of the inception score on UCF-101 (arXiv 1412.0767; fine-tuned on UCF-101's 101 classes).

The geometry, the pooling that rounds up and what goes in are those of TGAN's score (arXiv 1611.06624, arXiv 1811.09245;
github.com/pfnet-research/tgan2, tgan2/models/c3d/c3d_ucf101.py), with which video IS is published: BGR from 0 to 255,
112 x 112, less a mean video that comes with the weights.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

SIDE, FRAMES, CLASSES = 112, 16, 101
MEAN = (3, FRAMES, 128, 171)  # of the mean video: channels BGR, frames, height, width
CROP = 8  # the mean of a picture's middle is cut from there on, down and across
RESIZE = f"{SIDE} x {SIDE}, bilinear from corner to corner, shape not kept; less the mean video"
WEIGHTS = "conv3d_deepnetA_ucf.npz and mean2.npz of github.com/pfnet-research/tgan2"

# Of each convolution its channels, and whether a maximum over 2 x 2 x 2 (the first: 1 x 2 x 2) follows.
_CONVOLUTIONS = {
    "conv1a": (64, True),
    "conv2a": (128, True),
    "conv3a": (256, False),
    "conv3b": (256, True),
    "conv4a": (512, False),
    "conv4b": (512, True),
    "conv5a": (512, False),
    "conv5b": (512, True),
}
_LINEAR = {"fc6": (512 * 4 * 4, 4096), "fc7": (4096, 4096), "fc8": (4096, CLASSES)}
LAYERS = (*_CONVOLUTIONS, *_LINEAR)


class C3D(nn.Module):
    """Forward takes videos of 16 frames as they are and gives the logits, (b, 101)."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for name, (channels, _) in _CONVOLUTIONS.items():
            self.add_module(name, nn.Conv3d(before, channels, 3, padding=1))
            before = channels
        for name, (wide, narrow) in _LINEAR.items():
            self.add_module(name, nn.Linear(wide, narrow))
        self.register_buffer("mean", torch.zeros(MEAN))

    def forward(self, videos: UInt8[Tensor, "b f h w 3"]) -> Float[Tensor, "b k"]:
        x = prepared(videos, self.mean)
        for name, (_, pooled) in _CONVOLUTIONS.items():
            x = functional.relu(self.get_submodule(name)(x))
            if pooled:
                x = functional.max_pool3d(x, (1, 2, 2) if name == "conv1a" else 2, ceil_mode=True)  # 7 become 4
        x = x.flatten(1)
        for name in ("fc6", "fc7"):
            x = functional.relu(self.get_submodule(name)(x))
        return torch.as_tensor(self.get_submodule("fc8")(x))


def prepared(videos: UInt8[Tensor, "b f h w 3"], mean: Float[Tensor, "3 t y x"]) -> Float[Tensor, "b 3 f 112 112"]:
    """Videos as the network takes them (`RESIZE`). Raises ValueError for another length than 16 frames."""
    b, f = videos.shape[:2]
    if f != FRAMES:
        raise ValueError(f"got videos of {f} frames; wanted {FRAMES}, which C3D takes: choose that many of yours")
    x = videos.flip(-1).flatten(0, 1).permute(0, 3, 1, 2).float()
    x = functional.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=True)
    return x.unflatten(0, (b, f)).transpose(1, 2) - mean[..., CROP : CROP + SIDE, CROP : CROP + SIDE]
