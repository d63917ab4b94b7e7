"""The published networks: the shapes and names that their files have, what goes in, and what comes out."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchmetrics.functional.image import lpips as theirs

from pixeldance.metrics import c3d, extractors, i3d, inception, lpips, measure
from pixeldance.metrics.inception_score import inception_score

RNG = np.random.default_rng(0)
NAMES = {"weight": "W", "bias": "b"}  # ours, Chainer's


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(each.shape) for name, each in net.state_dict().items() if "num_batches" not in name}


def filled(net: nn.Module) -> nn.Module:
    """Weights that keep the size of what goes through: with torch's own, deep networks give nothing."""
    torch.manual_seed(0)
    for weight in net.parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)
    return net.eval().requires_grad_(False)


# Inception: names and shapes from github.com/mseitzer/pytorch-fid and torchvision's inception.py


def test_inception_has_the_published_names():
    found = shapes(inception.Inception())
    assert sum(int(np.prod(shape)) for name, shape in found.items() if "running" not in name) == 23_850_960
    assert len(found) == 94 * 5 + 2  # of each of 94 convolutions: kernel, and four of its normalisation
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.conv.weight": (64, 288, 1, 1),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6b.branch7x7_3.conv.weight": (192, 128, 7, 1),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch3x3_2.conv.weight": (320, 192, 3, 3),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch3x3dbl_1.conv.weight": (448, 2048, 1, 1),
        "Mixed_7c.branch_pool.bn.bias": (192,),
        "fc.weight": (1008, 2048),
    }.items():
        assert found[name] == shape


def test_inception_gives_features_and_probabilities():
    net = filled(inception.Inception())
    features, classes = extractors.picture_features(net, pixels(3, 40, 56), batch=2)
    assert (features.shape, classes.shape) == ((3, 2048), (3, 1008))
    np.testing.assert_allclose(classes.sum(axis=1), 1, atol=1e-5)
    assert features.std(axis=0).max() > 0  # pictures differ
    x = inception.prepared(torch.from_numpy(np.stack([np.zeros((9, 7, 3)), np.full((9, 7, 3), 255)]).astype(np.uint8)))
    assert x.shape == (2, 3, 299, 299)
    assert (x[0] == -1).all()
    torch.testing.assert_close(x[1], torch.ones_like(x[1]))


def test_inception_pools_as_the_port_does():
    x = torch.rand(1, 2, 5, 5) + 1
    one = inception.Mixed(2, ((inception.AVERAGE,),))(x)
    torch.testing.assert_close(one[0, :, 0, 0], x[0, :, :2, :2].mean(dim=(1, 2)))  # 4 pixels, no border
    assert (inception.Mixed(2, ((inception.MAXIMUM,),))(x)[0, :, 0, 0] == x[0, :, :2, :2].amax(dim=(1, 2))).all()
    assert inception.Mixed(2, ((inception.MAXIMUM,),), halves=True)(x).shape == (1, 2, 2, 2)


# I3D: names and shapes from github.com/piergiaj/pytorch-i3d


def test_i3d_has_the_published_names():
    found = shapes(i3d.I3D())
    assert len(found) == 57 * 5 + 2  # 57 convolutions with a normalisation, and the logits
    for name, shape in {
        "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
        "Conv3d_2c_3x3.bn.running_mean": (192,),
        "Mixed_3b.b0.conv3d.weight": (64, 192, 1, 1, 1),
        "Mixed_3c.b1b.conv3d.weight": (192, 128, 3, 3, 3),
        "Mixed_4f.b2b.conv3d.weight": (128, 32, 3, 3, 3),
        "Mixed_5c.b3b.conv3d.weight": (128, 832, 1, 1, 1),
        "Mixed_5c.b0.bn.weight": (384,),
        "logits.conv3d.weight": (400, 1024, 1, 1, 1),
        "logits.conv3d.bias": (400,),
    }.items():
        assert found[name] == shape


def test_i3d_gives_logits_of_videos():
    net = filled(i3d.I3D())
    found = extractors.video_features(net, [pixels(9, 32, 40), pixels(9, 32, 40)])
    assert found.shape == (2, 400)
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 0
    with pytest.raises(ValueError, match="got videos of 8 frames; wanted 9 or more"):
        extractors.video_features(net, [pixels(8, 32, 32)])


@pytest.mark.parametrize(("side", "kernel", "stride"), [(16, 7, 2), (15, 7, 2), (9, 3, 1), (5, 3, 2), (2, 2, 2)])
def test_i3d_pads_as_tensorflow_does(side: int, kernel: int, stride: int):
    """Of total padding max((ceil(s / stride) - 1) * stride + kernel - s, 0) the smaller half comes first."""
    x = torch.rand(1, 1, side, side, side) + 1
    padded = i3d._padded(x, (kernel,) * 3, (stride,) * 3)
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before = total // 2
    assert padded.shape[2:] == (side + total,) * 3
    assert torch.equal(padded[..., before : before + side, before : before + side, before : before + side], x)
    assert padded.sum() == pytest.approx(float(x.sum()), rel=1e-5)


# LPIPS: the mathematics against torchmetrics, whose networks are given random weights


def backbone(kind: str) -> nn.Sequential:
    """torchvision's `features` of VGG-16 and AlexNet, layer by layer."""
    if kind == "alex":
        return nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
    layers: list[nn.Module] = []
    before = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, 1, 1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("kind", ["vgg", "alex"])
def test_lpips_is_that_of_torchmetrics(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: filled(backbone(kind)))
    reference = theirs._LPIPS(net=kind)  # with the published linear layers, which torchmetrics holds
    save_file({name: each.clone() for name, each in reference.state_dict().items()}, tmp_path / "w.safetensors")
    opened = extractors.open_lpips(tmp_path / "w.safetensors")
    assert opened.name == f"lpips-{kind}"
    one, other = (torch.from_numpy(pixels(2, 64, 72)) for _ in range(2))
    with torch.inference_mode():
        wanted = reference(*(each.permute(0, 3, 1, 2) / 127.5 - 1 for each in (one, other))).flatten()
    np.testing.assert_allclose(lpips.distances(opened.net, one, other), wanted.numpy(), rtol=1e-4)
    assert lpips.distances(opened.net, one, one) == [0, 0]
    with pytest.raises(ValueError, match="wanted equal ones"):
        lpips.distances(opened.net, one, other[:, :40])


# Files


def test_a_file_of_other_weights_is_told(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    weights = filled(i3d.I3D()).state_dict()
    save_file(weights, path)
    opened = extractors.open_i3d(path)
    assert opened.sha256 == extractors.file_hash(path)
    assert all(torch.equal(each, opened.net.state_dict()[name]) for name, each in load_file(path).items())
    with pytest.raises(ValueError, match="holds other weights than Inception has"):
        extractors.open_inception(path)
    save_file({name: each for name, each in weights.items() if name != "logits.conv3d.bias"}, path)
    with pytest.raises(ValueError, match=r"1 differ, such as logits.conv3d.bias \(not there, wanted \(400,\)\)"):
        extractors.open_i3d(path)
    path.write_bytes(b"PK\x03\x04 a pickle")
    with pytest.raises(ValueError, match="is no safetensors file"):
        extractors.open_i3d(path)


def test_clip_is_that_of_transformers(tmp_path: Path):
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    letters = ["a", "d", "e", "r"]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    (tmp_path / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(tokens), "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**small, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(tmp_path)
    opened = extractors.open_clip(tmp_path)
    assert len(opened.sha256) == 64
    frames = extractors.clip_frames(opened.net, pixels(3, 48, 40))
    words = extractors.clip_text(opened.net, "a red a red a red")  # longer than it reads
    assert (frames.shape, words.shape) == ((3, 12), (12,))
    net = opened.net[0]
    grey = np.full((1, 40, 64, 3), 127, np.uint8)
    wanted = (127 / 255 - torch.tensor(extractors._MEAN)) / torch.tensor(extractors._DEVIATION)
    flat = wanted[None, :, None, None].expand(1, 3, 32, 32)
    with torch.inference_mode():
        there = net.visual_projection(net.vision_model(flat).pooler_output)
    np.testing.assert_allclose(extractors.clip_frames(opened.net, grey), there.numpy(), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match=r"holds no model.safetensors"):
        extractors.open_clip(tmp_path / "nowhere")


def test_an_original_file_is_converted(tmp_path: Path):
    """The converter reads what torch saved, without running what a pickle may hold."""
    import subprocess

    source, out = tmp_path / "rgb_imagenet.pt", tmp_path / "i3d.safetensors"
    torch.save(filled(i3d.I3D()).state_dict(), source)
    root = Path(__file__).parents[2]
    command = [sys.executable, root / "experiments" / "convert_extractor.py", "i3d", source, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert extractors.open_i3d(out).sha256 in done.stdout


# C3D: layers from github.com/pfnet-research/tgan2, tgan2/models/c3d/c3d_ucf101.py


@pytest.fixture(scope="module")
def c3d_net() -> nn.Module:
    """C3D with weights that keep the size of what goes through, and a mean that is not the same everywhere."""
    torch.manual_seed(0)
    net = c3d.C3D()
    net.mean.uniform_(80, 110)
    return net.eval().requires_grad_(False)


def test_c3d_has_the_published_shapes(c3d_net: nn.Module):
    found = shapes(c3d_net)
    assert found.pop("mean") == (3, 16, 128, 171)
    assert len(found) == 2 * len(c3d.LAYERS)
    assert sum(int(np.prod(shape)) for shape in found.values()) == 78_409_573
    for name, shape in {
        "conv1a.weight": (64, 3, 3, 3, 3),
        "conv3b.weight": (256, 256, 3, 3, 3),
        "conv5b.bias": (512,),
        "fc6.weight": (4096, 8192),
        "fc8.weight": (101, 4096),
    }.items():
        assert found[name] == shape


def test_c3d_gives_class_probabilities(c3d_net: nn.Module):
    found = extractors.video_classes(c3d_net, [pixels(16, 20, 24)])
    assert found.shape == (1, 101)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="got videos of 8 frames; wanted 16"):
        extractors.video_classes(c3d_net, [pixels(8, 20, 24)])


def test_c3d_takes_blue_first_less_the_middle_of_the_mean(c3d_net: nn.Module):
    flat = np.broadcast_to(np.array([10, 20, 30], np.uint8), (1, 16, 20, 24, 3)).copy()
    x = c3d.prepared(torch.from_numpy(flat), c3d_net.mean)
    middle = c3d_net.mean[:, :, 8:120, 8:120]
    torch.testing.assert_close(x[0] + middle, torch.tensor([30.0, 20, 10])[:, None, None, None].expand(3, 16, 112, 112))


@pytest.mark.slow  # 300 MB go to the disk twice
def test_c3d_is_converted_from_chainer_s_arrays(tmp_path: Path, c3d_net: nn.Module, monkeypatch: pytest.MonkeyPatch):
    """Its file comes back to the weights it was made of; one that lacks a layer is no C3D."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments"))
    from convert_extractor import read

    kept = c3d_net.state_dict()
    arrays = {f"{layer}/{its}": kept[f"{layer}.{ours}"].numpy() for layer in c3d.LAYERS for ours, its in NAMES.items()}
    np.savez(tmp_path / "ucf.npz", **arrays)
    np.savez(tmp_path / "mean.npz", mean=kept["mean"].numpy())
    found = read("c3d", tmp_path / "ucf.npz", tmp_path / "mean.npz")
    assert found.keys() == kept.keys()
    assert all(torch.equal(each, kept[name]) for name, each in found.items())
    save_file(found, tmp_path / "c3d.safetensors")
    assert extractors.open_c3d(tmp_path / "c3d.safetensors").name == "c3d"


def test_it_is_told_why_there_is_no_video_is():
    opened = extractors.Extractor(name="c3d", net=None, sha256="", resize="")
    assert measure.no_video_is(opened, 16) is None
    assert measure.no_video_is(opened, 8) == "C3D takes 16 frames, and these have 8"
    assert "--c3d FILE" in (measure.no_video_is(None, 16) or "")


@pytest.mark.slow  # four clips of 40 GFLOP each
def test_video_is_comes_with_that_of_real_videos(c3d_net: nn.Module):
    real, made = ([pixels(16, 16, 16), pixels(16, 16, 16)] for _ in range(2))
    sets = measure.Sets(real=real, others=real, made=made, texts=["a", "b"], fps=8.0)
    opened = extractors.Extractor(name="c3d", net=c3d_net, sha256="ab", resize=c3d.RESIZE)
    found = measure._of_classes(sets, opened)
    classes = extractors.video_classes(c3d_net, made)
    assert found.value == pytest.approx(inception_score(classes, splits=1)[0])
    assert found.floor is not None
    assert 1 <= found.floor <= 2  # of two videos
    assert (found.setting.extractor, found.setting.resize) == ("ab", c3d.RESIZE)
