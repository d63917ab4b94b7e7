"""The published networks behind published names, read from files that a person has: nothing is fetched.

A figure is called FVD, FID, IS, LPIPS or CLIPSIM only where the network of that figure made its features. Its file is
named by SHA-256 in every report, so that two reports can be told to have used the same one. docs/extractors.md says
where the original files come from; experiments/convert_extractor.py makes safetensors of them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pixeldance.metrics import c3d, i3d, inception, lpips

Video = UInt8[np.ndarray, "f h w 3"]
LEFT_OUT = ("scaling_layer.", "lins.", "num_batches_tracked")  # of files: constants, repetitions, counters


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network with its weights. sha256: of its file; of a folder, of its files' hashes by name. resize: the rule
    that brings pictures to its size."""

    name: str
    net: Any
    sha256: str
    resize: str


def open_i3d(path: Path) -> Extractor:
    """I3D for FVD and KVD. Raises ValueError for a file that holds other weights."""
    return Extractor(name="i3d", net=_filled(i3d.I3D(), path), sha256=file_hash(path), resize=i3d.RESIZE)


def open_inception(path: Path) -> Extractor:
    """Inception-v3 for FID and IS. Raises ValueError for a file that holds other weights."""
    net = _filled(inception.Inception(), path)
    return Extractor(name="inception", net=net, sha256=file_hash(path), resize=inception.RESIZE)


def open_c3d(path: Path) -> Extractor:
    """C3D for the inception score of videos. Raises ValueError for a file that holds other weights."""
    return Extractor(name="c3d", net=_filled(c3d.C3D(), path), sha256=file_hash(path), resize=c3d.RESIZE)


def open_lpips(path: Path) -> Extractor:
    """LPIPS, VGG or AlexNet as the file has it. Raises ValueError for a file that holds other weights."""
    kind = lpips.kind_of(_shapes(path))
    net = _filled(lpips.LPIPS(kind), path)
    return Extractor(name=f"lpips-{kind}", net=net, sha256=file_hash(path), resize=lpips.RESIZE)


def open_clip(path: Path) -> Extractor:
    """CLIP from a folder as transformers keeps it, in safetensors, with its tokenizer and preprocessor_config.json."""
    try:
        from transformers import AutoTokenizer, CLIPModel
    except ImportError:
        raise ValueError("CLIP needs transformers; install it: pip install 'pixeldance[clip]'") from None
    if not (path / "model.safetensors").is_file():
        raise ValueError(
            f"got {path}, which holds no model.safetensors; wanted a folder of CLIP as transformers has it"
        )
    net = CLIPModel.from_pretrained(path, local_files_only=True, use_safetensors=True).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    side = int(net.config.vision_config.image_size)
    rule = f"shorter side to {side}, bicubic, {side} x {side} from the middle; CLIP's mean and deviation"
    return Extractor(name="clip", net=(net, tokenizer, side), sha256=folder_hash(path), resize=rule)


OPEN: dict[str, Callable[[Path], Extractor]] = {
    "i3d": open_i3d,
    "inception": open_inception,
    "c3d": open_c3d,
    "clip": open_clip,
    "lpips": open_lpips,
}
"""How each network is opened, by the name of its option."""


def video_features(net: i3d.I3D, videos: list[Video]) -> Float32[np.ndarray, "n d"]:
    """The features of FVD and KVD, one video at a time."""
    with torch.inference_mode():
        return np.concatenate([net(_tensor(video)[None]).numpy() for video in videos])


def video_classes(net: c3d.C3D, videos: list[Video]) -> Float32[np.ndarray, "n k"]:
    """The class probabilities of video IS, one video at a time."""
    with torch.inference_mode():
        return np.concatenate([net(_tensor(video)[None]).softmax(dim=1).numpy() for video in videos])


def picture_features(
    net: inception.Inception, pictures: UInt8[np.ndarray, "n h w 3"], batch: int = 16
) -> tuple[Float32[np.ndarray, "n d"], Float32[np.ndarray, "n k"]]:
    """The features of FID, and the class probabilities of IS."""
    features, classes = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), batch):
            found, logits = net(_tensor(pictures[start : start + batch]))
            features.append(found.numpy())
            classes.append(logits.softmax(dim=1).numpy())
    return np.concatenate(features), np.concatenate(classes)


def clip_frames(clip: tuple[Any, Any, int], video: Video) -> Float32[np.ndarray, "f d"]:
    """CLIP's embeddings of frames."""
    net, _, side = clip
    with torch.inference_mode():
        found = net.get_image_features(pixel_values=_for_clip(video, side))
    return _embeddings(found)


def clip_text(clip: tuple[Any, Any, int], text: str) -> Float32[np.ndarray, "d"]:
    """CLIP's embedding of a text, cut where it is too long for it."""
    net, tokenizer, _ = clip
    most = net.config.text_config.max_position_embeddings
    tokens = tokenizer([text], return_tensors="pt", truncation=True, max_length=most)
    with torch.inference_mode():
        found = net.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return np.asarray(_embeddings(found)[0])


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(path: Path) -> str:
    """The SHA-256 of the list of a folder's files and their hashes, by name."""
    lines = [f"{each.name} {file_hash(each)}\n" for each in sorted(path.iterdir()) if each.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _filled(net: nn.Module, path: Path) -> nn.Module:
    """The network with a file's weights: all of them, and each of its shape."""
    wanted = {name: tuple(each.shape) for name, each in net.state_dict().items() if not name.endswith(LEFT_OUT[-1])}
    there = {name: shape for name, shape in _shapes(path).items() if not _left_out(name)}
    if there != wanted:
        odd = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        first = odd[0]
        raise ValueError(
            f"{path} holds other weights than {type(net).__name__} has: {len(odd)} differ, such as {first} "
            f"({there.get(first, 'not there')}, wanted {wanted.get(first, 'none')}); docs/extractors.md says which fit"
        )
    net.load_state_dict({name: each for name, each in load_file(path).items() if not _left_out(name)}, strict=False)
    return net.eval().requires_grad_(False)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"got {path}, which is no safetensors file ({error}); make one with experiments/convert_extractor.py"
        ) from None


def _left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT[:-1]) or name.endswith(LEFT_OUT[-1])


def _tensor(pixels: UInt8[np.ndarray, "n h w 3"]) -> UInt8[Tensor, "n h w 3"]:
    return torch.from_numpy(np.ascontiguousarray(pixels))


# Of OpenAI's CLIP, for all its sizes (github.com/openai/CLIP, clip/clip.py).
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def _for_clip(video: Video, side: int) -> Tensor:
    from PIL import Image

    h, w = video.shape[1:3]
    scale = side / min(h, w)
    size = (max(side, round(w * scale)), max(side, round(h * scale)))
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    pictures = [Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in video]
    cut = np.stack([np.asarray(each)[top : top + side, left : left + side] for each in pictures]) / 255
    return torch.from_numpy(((cut - _MEAN) / _DEVIATION).astype(np.float32)).permute(0, 3, 1, 2)


def _embeddings(found: Any) -> Float32[np.ndarray, "n d"]:
    """The rows, which newer transformers wrap in a record."""
    return np.asarray(getattr(found, "pooler_output", found).numpy(), np.float32)
