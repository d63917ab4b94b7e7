"""What training does otherwise than torch, for speed and memory, changes no output and no gradient."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tiny import TINY
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from pixeldance.nets import recompute
from pixeldance.nets.attention import Attention
from pixeldance.nets.convolution import TimeConv
from pixeldance.nets.recompute import after, recomputed
from pixeldance.nets.unet import UNet, UNetConfig

PLAIN = replace(TINY.net, channels=4, concat=5, vector=0)
CONFIGS = {"plain": PLAIN, "film": replace(PLAIN, film=True, frame_embedding=True, temporal_convolutions=2, carry=(1,))}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomised(config: UNetConfig) -> UNet:
    net = UNet(config)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.15)
    return net


def time_conv(kernel: int = 3) -> TimeConv:
    return TimeConv(8, 8, (kernel, 1), padding=(kernel // 2, 0))


def inputs(b: int, f: int, size: int) -> dict[str, Tensor]:
    shape = (b, f, size, size, PLAIN.channels)
    return {
        "x": torch.randn(shape).permute(0, 1, 4, 2, 3),
        "c_noise": 1000 * torch.rand(b),
        "tokens": torch.randn(b, 7, PLAIN.tokens),
        "mask": torch.arange(7) < torch.tensor([[4], [7]])[:b],
        "concat": torch.randn(b, f, PLAIN.concat, size, size),
    }


def gradients(net: nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The output, and the gradients of the weights and the inputs that have one."""
    net.zero_grad()
    leaves = {n: v.detach().requires_grad_() for n, v in given.items() if v.is_floating_point()}
    out = net(**given | leaves)
    out.float().square().mean().backward()
    found = {"out": out.detach()}
    found |= {f"input {name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return found | {name: weight.grad.clone() for name, weight in net.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("shape", [(1, 7, 6), (3, 4, 2), (2, 1, 3)], ids=str)
def test_a_convolution_over_time_has_torchs_gradients(shape: tuple[int, int, int], kernel: int) -> None:
    b, f, p = shape
    conv = time_conv(kernel)
    x = torch.randn(b, f, p, 8).permute(0, 3, 1, 2)
    ours = gradients(_Input(conv), {"x": x})
    conv.forward = lambda x: nn.Conv2d.forward(conv, x)  # type: ignore[method-assign]
    theirs = gradients(_Input(conv), {"x": x})
    assert ours.keys() == theirs.keys() == {"out", "input x", "net.weight", "net.bias"}
    assert torch.equal(ours["out"], theirs["out"])
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)


class _Input(nn.Module):
    """A layer called by the name of its argument."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_a_convolution_over_time_is_torchs_under_autocast_and_in_half_precision() -> None:
    conv, x = time_conv(), torch.randn(1, 8, 5, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv(x), nn.Conv2d.forward(conv, x))
        assert conv(x).dtype == torch.bfloat16
    half = conv.bfloat16()
    half(x.bfloat16()).sum().backward()
    assert half.weight.grad is not None


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_a_frozen_weight_gets_no_gradient(frozen: str) -> None:
    conv = time_conv()
    getattr(conv, frozen).requires_grad_(False)
    conv(torch.randn(1, 8, 5, 6)).sum().backward()
    assert {name for name, weight in conv.named_parameters() if weight.grad is None} == {frozen}


def test_after_computes_the_norm_again_and_not_the_layer() -> None:
    norm, layer, runs = nn.LayerNorm(8), nn.Linear(8, 8), []
    for each in (norm, layer):
        each.register_forward_hook(lambda module, *_: runs.append(module))
    after(norm, layer, torch.randn(4, 8)).sum().backward()
    assert runs == [norm, layer, norm]


@torch.no_grad()
def test_nothing_is_recorded_where_no_gradient_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "checkpoint", None)
    assert recomputed(torch.exp, torch.zeros(1)).item() == 1.0


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_computed_again_changes_no_bit(
    config: UNetConfig, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, given = randomised(config), inputs(2, 4, 8)
    net.checkpointing = checkpointing
    again = gradients(net, given)
    net.checkpointing = False
    monkeypatch.setattr(recompute, "checkpoint", lambda f, *args, use_reentrant, preserve_rng_state: f(*args))
    kept = gradients(net, given)
    assert again.keys() == kept.keys()
    assert [name for name, value in kept.items() if not torch.equal(again[name], value)] == []


def test_each_way_keeps_less(monkeypatch: pytest.MonkeyPatch) -> None:
    net, given = randomised(PLAIN), inputs(1, 8, 16)
    norms = peak(net, given)
    net.checkpointing = True
    levels = peak(net, given)
    net.checkpointing = False
    monkeypatch.setattr(recompute, "checkpoint", lambda f, *args, use_reentrant, preserve_rng_state: f(*args))
    assert levels < 0.6 * norms < 0.6 * 0.8 * peak(net, given)


def peak(net: nn.Module, given: dict[str, Tensor]) -> int:
    """The bytes that tensors alive at the end of the forward pass hold, of those that it made."""
    with torch.profiler.profile(profile_memory=True) as profile:
        out = net(**given)
    total = sum(event.self_cpu_memory_usage for event in profile.key_averages())
    del out
    return int(total)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_in_bfloat16_by_autocast(checkpointing: bool) -> None:
    net, given = randomised(PLAIN), inputs(2, 4, 8)
    net.checkpointing = checkpointing
    exact = gradients(net, given)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = gradients(net, given)
    assert rounded["out"].dtype == torch.bfloat16
    assert rounded.keys() == exact.keys()
    for name in ("out", "conv_in.spatial.weight", "down.1.transformer.temporal.feed_forward.out.weight"):
        error = (rounded[name].float() - exact[name]).norm() / exact[name].norm()
        assert 0 < error < 0.1, (name, error)


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_sharded_by_fsdp(checkpointing: bool, one_process: None) -> None:
    net, given = randomised(PLAIN), inputs(2, 4, 8)
    expected = gradients(net, given)
    net.checkpointing = checkpointing
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    for level in (*net.down, net.middle_in, net.middle_out, *net.up):
        fully_shard(level, mesh=mesh)
    fully_shard(net, mesh=mesh)
    sharded = gradients(net, given)
    for name, value in expected.items():
        got = sharded[name].full_tensor() if hasattr(sharded[name], "full_tensor") else sharded[name]
        torch.testing.assert_close(got, value, rtol=1e-6, atol=1e-6, msg=name)


def test_a_text_is_projected_once_a_video() -> None:
    attention, x, text, rows = Attention(8, 4, 12), torch.randn(6, 5, 8), torch.randn(2, 7, 12), []
    attention.key.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    mask = torch.rand(2, 7) > 0.3
    mask[:, 0] = True
    out = attention(x, text, mask)
    each = attention(x, text.repeat_interleave(3, dim=0), mask.repeat_interleave(3, dim=0))
    torch.testing.assert_close(out, each, rtol=1e-6, atol=1e-6)
    assert rows == [2, 6]
