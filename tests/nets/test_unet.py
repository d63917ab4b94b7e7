"""The UNet: inflation to the bit, images, layout, sizes, conditions at their doors and what it refuses."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pixeldance.nets.text import WordConfig, WordEncoder
from pixeldance.nets.unet import UNet, UNetConfig

PLAIN = UNetConfig(
    concat=5,
    tokens=12,
    widths=(8, 16),
    attention=(False, True),
    layers=1,
    head_width=4,
    feed_mult=2,
    groups=4,
)
RICH = replace(
    PLAIN,
    vector=6,
    temporal_convolutions=1,
    temporal_attentions=1,
    film=True,
    frame_embedding=True,
    carry=(1,),
)
CONFIGS = {"plain": PLAIN, "rich": RICH}
# Of features of a single pixel torch cannot tell the order in memory, and may sum them in another one.
SHAPES = [(2, 4, 8, 8), (1, 16, 4, 12), (3, 5, 4, 4)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomised(net: nn.Module) -> nn.Module:
    """No weight at zero, as after training."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.15)
    return net.eval()


def inputs(config: UNetConfig, b: int, f: int, h: int, w: int) -> dict[str, Tensor]:
    mask = torch.rand(b, 7) > 0.3
    mask[:, 0] = True
    given = {
        "x": torch.randn(b, f, h, w, config.channels).permute(0, 1, 4, 2, 3),
        "c_noise": 1000 * torch.rand(b),
        "tokens": torch.randn(b, 7, config.tokens),
        "mask": mask,
        "concat": torch.randn(b, f, config.concat, h, w),
        "vector": torch.randn(b, config.vector),
    }
    return {name: value for name, value in given.items() if value.numel()}


def as_images(given: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
    """Every frame as a video of one, with the conditions of the video it comes from."""
    return {
        name: value.flatten(0, 1)[:, None] if value.ndim == 5 else value.repeat_interleave(frames, dim=0)
        for name, value in given.items()
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_a_freshly_inflated_network_is_its_2d_network_to_the_bit(config: UNetConfig, shape: tuple[int, ...]) -> None:
    flat = randomised(UNet(replace(config, temporal="none")))
    net = UNet(config).eval()
    added = {name for name, _ in net.temporal_parameters()}
    assert flat.state_dict().keys() == net.state_dict().keys() - added
    net.load_state_dict(flat.state_dict(), strict=False)
    given = inputs(config, *shape)
    expected = flat(**as_images(given, shape[1])).reshape(given["x"].shape)
    assert torch.equal(net(**given), expected)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_the_temporal_parts_are_off_for_images_and_on_for_videos(config: UNetConfig) -> None:
    net = randomised(UNet(config))
    image, video = inputs(config, 2, 1, 8, 8), inputs(config, 2, 4, 8, 8)
    before = net(**image), net(**video)
    for _, parameter in net.temporal_parameters():
        parameter += torch.randn_like(parameter)
    assert torch.equal(net(**image), before[0])
    assert not torch.allclose(net(**video), before[1], atol=1e-2)


@torch.no_grad()
def test_a_frame_sees_the_whole_video() -> None:
    net, given = randomised(UNet(PLAIN)), inputs(PLAIN, 1, 6, 4, 4)
    before = net(**given)
    given["x"][:, -1] += 1
    changed = (net(**given) - before).abs().amax(dim=(0, 2, 3, 4))
    assert bool((changed > 0).all())


@torch.no_grad()
def test_features_stay_channels_last() -> None:
    net, seen = randomised(UNet(RICH)), []

    def note(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        for tensor in (args[0], out):
            assert tensor.is_contiguous(memory_format=torch.channels_last), (module, tensor.shape, tensor.stride())
        seen.append(module)

    layers = [each for each in net.modules() if isinstance(each, nn.Conv2d | nn.GroupNorm)]
    for layer in layers:
        layer.register_forward_hook(note)
    out = net(**inputs(RICH, 2, 4, 8, 8))
    assert set(seen) == set(layers)
    assert out.permute(0, 1, 3, 4, 2).is_contiguous()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_a_level_for_each_frame(config: UNetConfig) -> None:
    net, given = randomised(UNet(config)), inputs(config, 2, 4, 8, 8)
    per_frame = given["c_noise"][:, None].repeat(1, 4)
    same = net(**given)
    assert torch.equal(net(**given | {"c_noise": per_frame}), same)
    per_frame[:, 2] = 3
    assert not torch.allclose(net(**given | {"c_noise": per_frame}), same)


@torch.no_grad()
def test_padding_after_a_text_does_not_matter() -> None:
    net = randomised(UNet(PLAIN))
    text = randomised(WordEncoder(WordConfig(vocabulary=("a", "red", "ball", "moves"), width=12, head_width=4)))
    given = inputs(PLAIN, 1, 4, 8, 8)
    short = text(["a ball"])
    padded = text(["a ball", "a red ball moves a red ball moves"])
    assert padded.tokens.shape[1] > short.tokens.shape[1]
    alone = net(**given | {"tokens": short.tokens, "mask": short.mask})
    beside = net(**given | {"tokens": padded.tokens[:1], "mask": padded.mask[:1]})
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=1e-5)
    garbage = torch.where(padded.mask[:1, :, None], padded.tokens[:1], 100.0)
    beside = net(**given | {"tokens": garbage, "mask": padded.mask[:1]})
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=1e-5)
    other = text(["a red ball"])
    assert not torch.allclose(net(**given | {"tokens": other.tokens, "mask": other.mask}), alone, atol=1e-3)


@torch.no_grad()
def test_every_condition_changes_what_comes_out() -> None:
    net, given = randomised(UNet(RICH)), inputs(RICH, 1, 4, 8, 8)
    before = net(**given)
    for name in ("x", "c_noise", "tokens", "concat", "vector"):
        assert not torch.allclose(net(**given | {name: given[name] + 1}), before, atol=1e-4), name


@torch.no_grad()
def test_a_fresh_network_that_carries_gives_back_the_first_frame() -> None:
    given = inputs(RICH, 2, 4, 8, 8)
    assert torch.equal(UNet(RICH)(**given), given["concat"][:, :, 1:])


def residuals(scale: float) -> tuple[Tensor, ...]:
    """For PLAIN and 2 videos of 4 frames of 8 x 8: first convolution, level, downsampling, level."""
    shapes = [(8, 8, 8), (8, 8, 8), (8, 4, 4), (16, 4, 4)]
    return tuple(scale * torch.randn(2, 4, *shape) for shape in shapes)


@torch.no_grad()
def test_the_residuals_door() -> None:
    net, given = randomised(UNet(PLAIN)), inputs(PLAIN, 2, 4, 8, 8)
    before = net(**given)
    assert torch.equal(net(**given, residuals=residuals(0.0)), before)
    for place in range(4):
        one = tuple(each * (index == place) for index, each in enumerate(residuals(1.0)))
        assert not torch.allclose(net(**given, residuals=one), before, atol=1e-3), place


@torch.no_grad()
def test_deep_features_are_handed_on_and_spare_the_levels_below_the_finest() -> None:
    net, given = randomised(UNet(PLAIN)), inputs(PLAIN, 2, 4, 8, 8) | {"residuals": residuals(1.0)}
    whole, kept, passed = net(**given), dict[str, Tensor](), list[str]()
    for name in ("down.0", "down.1", "middle_in", "up.0", "upsample.0", "up.2", "up.3"):
        net.get_submodule(name).register_forward_hook(lambda *_, name=name: passed.append(name))
    assert torch.equal(net(**given, deep=kept), whole)
    assert len(passed) == 7
    passed.clear()
    assert torch.equal(net(**given, deep=kept), whole)
    assert passed == ["down.0", "up.2", "up.3"]
    later = net(**given | {"x": 0.9 * given["x"]}, deep=kept)
    assert not torch.allclose(later, whole, atol=1e-3)  # the finest level sees what is new


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_gradients_reach_every_parameter(config: UNetConfig) -> None:
    net = randomised(UNet(config))
    net(**inputs(config, 2, 4, 8, 8)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)] == []


def refusals() -> dict[str, tuple[dict[str, Tensor | None], str]]:
    return {
        "channels": ({"x": torch.randn(2, 4, 3, 8, 8)}, r"\(3, 12, 5, 6\).*wants \(4, 12, 5, 6\)"),
        "tokens": ({"tokens": torch.randn(2, 7, 8)}, r"\(4, 8, 5, 6\).*wants \(4, 12, 5, 6\)"),
        "no tokens": ({"tokens": None}, r"\(4, 0, 5, 6\).*wants \(4, 12, 5, 6\)"),
        "concat": ({"concat": torch.randn(2, 4, 4, 8, 8)}, r"\(4, 12, 4, 6\).*wants \(4, 12, 5, 6\)"),
        "no vector": ({"vector": None}, r"\(4, 12, 5, 0\).*wants \(4, 12, 5, 6\)"),
        "size": (
            {"x": torch.randn(2, 4, 4, 7, 8), "concat": torch.randn(2, 4, 5, 7, 8)},
            "got latents of 7 x 8.*multiples of 2",
        ),
        "levels": ({"c_noise": torch.rand(4)}, r"got noise levels of shape \(4,\); wanted .*\(2,\).*\(2, 4\)"),
        "residuals": ({"residuals": residuals(1.0)[:3]}, r"got residuals.*wants .*\(2, 4, 16, 4, 4\)"),
        "residual shapes": ({"residuals": residuals(1.0)[::-1]}, r"got residuals.*wants .*\(2, 4, 16, 4, 4\)"),
    }


@pytest.mark.parametrize("case", refusals())
def test_what_does_not_fit_is_refused(case: str) -> None:
    wrong, message = refusals()[case]
    with pytest.raises(ValueError, match=message):
        UNet(RICH)(**inputs(RICH, 2, 4, 8, 8) | wrong)


def test_one_attention_switch_a_level() -> None:
    with pytest.raises(ValueError, match="got 4 widths and 2 attention switches"):
        UNetConfig(attention=(True, False))


def test_the_papers_configuration_has_about_one_and_a_half_billion_parameters() -> None:
    with torch.device("meta"):
        net = UNet(UNetConfig())
    assert sum(p.numel() for p in net.parameters()) == 1_441_337_284
    added = sum(p.numel() for _, p in net.temporal_parameters())
    # Stable Diffusion 2.1's 2D part, whose first convolution also reads the 5 channels of c_image.
    assert 1_441_337_284 - added == 865_910_724 + 5 * 320 * 9


@pytest.mark.slow
def test_the_papers_configuration_runs_forward_and_backward() -> None:
    """At 16 frames of 8 x 8 latents, in float32: 6 GB of weights and as much of gradients, a minute or two."""
    with torch.device("meta"):
        net = UNet(UNetConfig())
    net = net.to_empty(device="cpu")
    for parameter in net.parameters():
        nn.init.uniform_(parameter, -0.02, 0.02) if parameter.ndim > 1 else nn.init.ones_(parameter)
    given = inputs(net.config, 1, 16, 8, 8)
    out = net(**given)
    out.square().mean().backward()
    assert out.shape == given["x"].shape
    assert bool(out.isfinite().all())
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())] == []
    # In the middle a frame is a single pixel, which can attend to nothing but itself.
    alone = {f"middle_in.transformer.spatial.block.self_attention.{layer}.weight" for layer in ("query", "key")}
    assert {name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())} == alone
