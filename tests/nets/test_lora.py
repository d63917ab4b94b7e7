"""Adapters: the formula on every kind of layer, nothing else changed, stacked and merged alike, and they learn."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY, random_parts
from torch import Tensor, nn

from pixeldance.data.clip import Example
from pixeldance.diffusion.denoise import Cond
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import Instruction
from pixeldance.nets import lora
from pixeldance.nets.lora import LoRA
from pixeldance.system import Parts
from pixeldance.training.objective import Objective, loss


class Derived(nn.Linear):
    """A layer with a way of its own to compute."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + (input @ self.weight.T)


class Zoo(nn.Module):
    """A layer of each kind; the last two can have no adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.conv1d = nn.Conv1d(6, 4, 3, padding=1)
        self.conv2d = nn.Conv2d(6, 4, 3, stride=2, padding=1)
        self.temporal = nn.Conv2d(6, 4, (3, 1), padding=(1, 0))
        self.embedding = nn.Embedding(9, 4)
        self.grouped = nn.Conv2d(6, 4, 3, groups=2)
        self.norm = nn.LayerNorm(4)


INPUT = {
    "linear": torch.linspace(-1, 1, 30).reshape(5, 6),
    "conv1d": torch.linspace(-1, 1, 48).reshape(1, 6, 8),
    "conv2d": torch.linspace(-1, 1, 384).reshape(1, 6, 8, 8),
    "temporal": torch.linspace(-1, 1, 384).reshape(1, 6, 8, 8),
    "embedding": torch.tensor([[0, 8, 3]]),
}
# B(A(x)) as two layers after each other, which is not how it is computed.
BRANCH: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear": lambda x, a, b: F.linear(F.linear(x, a), b),
    "conv1d": lambda x, a, b: F.conv1d(F.conv1d(x, a, padding=1), b),
    "conv2d": lambda x, a, b: F.conv2d(F.conv2d(x, a, stride=2, padding=1), b),
    "temporal": lambda x, a, b: F.conv2d(F.conv2d(x, a, padding=(1, 0)), b),
    "embedding": lambda x, a, b: F.embedding(x, a.T) @ b.T,
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(model: nn.Module, name: str = "default", seed: int = 1, size: float = 0.1) -> dict[str, nn.Parameter]:
    """The weights of an adapter after a training that did them no good."""
    weights, source = lora.weights(model, name), rng(seed)
    with torch.no_grad():
        for weight in weights.values():
            weight.add_(size * torch.randn(weight.shape, generator=source))
    return weights


def outputs(model: nn.Module) -> list[Tensor]:
    return [model.get_submodule(name)(x) for name, x in INPUT.items()]


def net_output(parts: Parts) -> Tensor:
    """What the networks make of one fixed input, the text encoder included."""
    source, text = rng(), parts.text(["a red circle", "a blue square moves left"])
    x, concat = (torch.randn(2, 4, channels, 8, 8, generator=source) for channels in (48, TINY.net.concat))
    cond = Cond(tokens=text.tokens, mask=text.mask, concat=concat, vector=text.vector)
    return parts.net(x, torch.tensor([300.0, 700.0]), **cond.doors())


@pytest.fixture
def zoo() -> Zoo:
    torch.manual_seed(0)
    return Zoo()


@pytest.mark.parametrize("name", INPUT)
def test_the_formula_on_each_kind_of_layer(zoo: Zoo, name: str) -> None:
    before = zoo.get_submodule(name)(INPUT[name])
    lora.attach(zoo, LoRA(rank=3, alpha=6.0, layers=(name,)), rng())
    a, b = shaken(zoo).values()
    lora.rescale(zoo, 0.5)
    wanted = before + 0.5 * 6.0 / 3 * BRANCH[name](INPUT[name], a, b)
    assert (wanted - before).abs().max() > 0.01
    torch.testing.assert_close(zoo.get_submodule(name)(INPUT[name]), wanted, rtol=0, atol=1e-6)


def test_new_adapters_change_nothing_and_have_the_names_of_peft(zoo: Zoo) -> None:
    before, keys = outputs(zoo), set(zoo.state_dict())
    made = lora.attach(zoo, LoRA(rank=2, layers=("*",)), rng())
    assert all(map(torch.equal, outputs(zoo), before))
    assert {name: tuple(weight.shape) for name, weight in made.items()} == {
        "linear.lora_A.weight": (2, 6),
        "linear.lora_B.weight": (4, 2),
        "conv1d.lora_A.weight": (2, 6, 3),
        "conv1d.lora_B.weight": (4, 2, 1),
        "conv2d.lora_A.weight": (2, 6, 3, 3),
        "conv2d.lora_B.weight": (4, 2, 1, 1),
        "temporal.lora_A.weight": (2, 6, 3, 1),
        "temporal.lora_B.weight": (4, 2, 1, 1),
        "embedding.lora_embedding_A": (2, 9),
        "embedding.lora_embedding_B": (4, 2),
    }
    assert all((weight == 0).all() == ("_B" in name) for name, weight in made.items())
    assert {name for name, weight in zoo.named_parameters() if weight.requires_grad} == set(zoo.state_dict()) - keys
    assert keys < set(zoo.state_dict()), "the model's own weights keep their names"


def test_the_start_is_drawn_from_the_generator(zoo: Zoo) -> None:
    drawn = [lora.attach(copy.deepcopy(zoo), LoRA(layers=("linear",)), rng(seed)) for seed in (0, 0, 1)]
    first, same, other = (each["linear.lora_A.weight"] for each in drawn)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert 0.3 < first.abs().max() <= 6**-0.5


def test_gradients_reach_every_adapter_and_nothing_else() -> None:
    parts = random_parts()
    made = lora.attach(parts, LoRA(rank=2, layers=("net.*", "text.*")), rng())
    assert len(made) == 2 * sum(name.startswith(("net.", "text.")) for name in lora.adaptable(parts))
    shaken(parts)
    net_output(parts).square().sum().backward()
    for name, weight in made.items():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    trained = set(map(id, made.values()))
    assert all(weight.grad is None for weight in parts.parameters() if id(weight) not in trained)


def test_scale_zero_is_the_base_to_the_bit_and_any_scale_needs_no_reload() -> None:
    parts = random_parts()
    before = net_output(parts)
    lora.attach(parts, LoRA(layers=("*",)), rng())
    shaken(parts)
    full = net_output(parts)
    assert (full - before).abs().max() > 0.1
    lora.rescale(parts, 0.0)
    assert torch.equal(net_output(parts), before)
    lora.rescale(parts, 0.3)
    assert not torch.equal(net_output(parts), full)
    lora.rescale(parts, 1.0)
    assert torch.equal(net_output(parts), full)


def test_merged_equals_stacked_and_leaves_a_plain_model() -> None:
    parts = random_parts()
    plain = {name: type(module) for name, module in parts.named_modules()}
    for seed, (name, scale) in enumerate((("one", 0.7), ("two", -0.4))):
        lora.attach(parts, LoRA(rank=4, layers=("net.*", "text.*")), rng(seed), name)
        shaken(parts, name, seed)
        lora.rescale(parts, scale, name)
    assert lora.names(parts) == ["one", "two"]
    stacked = net_output(parts)
    lora.merge(parts)
    torch.testing.assert_close(net_output(parts), stacked, rtol=0, atol=1e-6)
    assert lora.names(parts) == []
    assert {name: type(module) for name, module in parts.named_modules()} == plain


def test_removed_adapters_leave_the_base_to_the_bit(zoo: Zoo) -> None:
    before, state = outputs(zoo), copy.deepcopy(zoo.state_dict())
    lora.attach(zoo, LoRA(layers=("*",)), rng())
    shaken(zoo)
    lora.remove(zoo)
    assert zoo.state_dict().keys() == state.keys()
    assert all(torch.equal(zoo.state_dict()[key], state[key]) for key in state)
    assert all(map(torch.equal, outputs(zoo), before))


def test_a_derived_layer_keeps_its_own_way(zoo: Zoo) -> None:
    zoo.linear.__class__ = Derived
    lora.attach(zoo, LoRA(layers=("linear",)), rng())
    shaken(zoo)
    x, weight = INPUT["linear"], zoo.linear.weight
    torch.testing.assert_close(zoo.linear(x), 2 * x @ weight.T + zoo.linear.bias)
    lora.remove(zoo)
    assert type(zoo.linear) is Derived


def test_folded_is_the_same_and_ends_with_its_block(zoo: Zoo) -> None:
    lora.attach(zoo, LoRA(layers=("*",)), rng())
    shaken(zoo)
    stacked = outputs(zoo)

    def interrupted() -> None:
        with lora.folded(zoo):
            assert zoo.linear.weight is zoo.linear.weight, "computed once"
            assert all(map(torch.equal, outputs(zoo), stacked))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    assert zoo.linear.weight is not zoo.linear.weight
    assert zoo.linear.weight.requires_grad, "gradients reach the adapters again"


def test_an_adapted_model_moves_copies_and_keeps_its_memory_order(zoo: Zoo) -> None:
    zoo = zoo.to(memory_format=torch.channels_last)
    lora.attach(zoo, LoRA(layers=("*",)), rng())
    shaken(zoo)
    assert zoo.conv2d.weight.is_contiguous(memory_format=torch.channels_last)
    twin = copy.deepcopy(zoo)
    assert all(map(torch.equal, outputs(twin), outputs(zoo)))
    shaken(twin)
    assert not torch.equal(twin.linear.weight, zoo.linear.weight)
    half = twin.to(torch.bfloat16)
    assert half.linear.weight.dtype == half.linear.lora[0].a.dtype == torch.bfloat16


def state(zoo: Zoo, seed: int, names: list[str], rank: int = 2) -> dict[str, Tensor]:
    """The weights of an adapter on some layers of a zoo."""
    twin = copy.deepcopy(zoo)
    lora.attach(twin, LoRA(rank=rank, layers=tuple(names)), rng(seed))
    return {key: weight.detach() for key, weight in shaken(twin, seed=seed, size=0.5).items()}


SOME = st.lists(st.sampled_from(sorted(INPUT)), min_size=1, unique=True)
STACK = st.lists(st.tuples(st.integers(0, 99), SOME, st.integers(1, 4), st.floats(-2, 2)), min_size=1, max_size=4)


@settings(max_examples=25)
@given(stack=STACK, order=st.randoms())
def test_the_order_of_a_stack_does_not_matter(stack: list, order) -> None:
    torch.manual_seed(0)
    zoo = Zoo()
    twin, numbered = copy.deepcopy(zoo), list(enumerate(stack))
    shuffled = order.sample(numbered, len(numbered))
    for model, stacked in ((zoo, numbered), (twin, shuffled)):
        for number, (seed, names, rank, scale) in stacked:
            adapter = state(Zoo(), seed, names, rank)
            lora.insert(model, adapter, name=str(number), alpha=1.0, scale=scale)
    for ours, theirs in zip(outputs(zoo), outputs(twin), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 99), names=SOME, scales=st.lists(st.floats(-1, 1), min_size=2, max_size=4))
def test_scales_of_one_adapter_add_up(seed: int, names: list[str], scales: list[float]) -> None:
    torch.manual_seed(0)
    zoo = Zoo()
    twin, adapter = copy.deepcopy(zoo), state(zoo, seed, names)
    for number, scale in enumerate(scales):
        lora.insert(zoo, adapter, name=str(number), alpha=1.0, scale=scale)
    lora.insert(twin, adapter, name="sum", alpha=1.0, scale=sum(scales))
    for ours, theirs in zip(outputs(zoo), outputs(twin), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=2e-6)


def test_a_fine_tune_moves_the_output_towards_its_data() -> None:
    parts, wanted = random_parts(), torch.full((4, 48, 8, 8), 0.8)
    example = Example(text="a red circle", latents=wanted, fps=TINY.fps, size=TINY.sizes[0])
    asked = Instruction(text="a red circle", frames={0: wanted[0]}, length=4, size=TINY.sizes[0])

    def distance() -> float:
        made = generate(parts, [asked], generators([7]), Sampling(steps=3, guidance=1.0))
        return (made[0] - wanted).square().mean().item()

    before, base = distance(), {key: value.clone() for key, value in parts.state_dict().items()}
    made = lora.attach(parts, LoRA(rank=8, alpha=16.0, layers=("net.*",)), rng())
    assert distance() == before
    optimiser = torch.optim.Adam(made.values(), lr=3e-2)
    for step in range(12):
        levels = Objective().draw(1, rng(step))
        value = loss(parts, Objective(drop_text=0.0), [example], levels, generators([step]))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert distance() < 0.75 * before
    assert all(torch.equal(parts.state_dict()[key], value) for key, value in base.items())
    lora.rescale(parts, 0.0)
    assert distance() == before


def test_the_weights_of_one_adapter_can_be_picked_from_a_state_and_put_back(zoo: Zoo) -> None:
    for number, name in enumerate(("one", "two")):
        lora.attach(zoo, LoRA(rank=2, layers=("linear", "embedding")), rng(number), name)
    doubled = {key: 2 * value for key, value in zoo.state_dict().items()}
    two, wanted = lora.picked(zoo, doubled, "two"), lora.weights(zoo, "two")
    assert two.keys() == wanted.keys()
    assert all(torch.equal(two[key], 2 * weight) for key, weight in wanted.items())
    lora.fill(zoo, two, "two")
    assert all(torch.equal(two[key], weight) for key, weight in lora.weights(zoo, "two").items())
    assert all(weight.requires_grad for weight in lora.weights(zoo, "two").values())
    for change in ({"linear.lora_A.weight": torch.ones(3, 6)}, {"conv2d.lora_A.weight": torch.ones(2, 6, 3, 3)}):
        with pytest.raises(ValueError, match=rf"got other LoRA weights than the 4 .* e\.g\. .*{next(iter(change))}"):
            lora.fill(zoo, two | change, "two")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 0}, "got rank 0; wanted 1 or more"),
        ({"alpha": 0.0}, "got alpha = 0.0; wanted a number above 0"),
        ({"alpha": float("nan")}, "got alpha = nan"),
        ({"layers": ("linaer",)}, "got 'linaer', which fits none of 5 names; near are linear"),
        ({"layers": ("grouped",)}, "got 'grouped', which fits none"),
        ({"layers": ()}, "got a LoRA without weights"),
    ],
)
def test_settings_that_make_no_adapter_are_refused(zoo: Zoo, wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lora.attach(zoo, LoRA(**{"layers": ("*",)} | wrong), rng())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"linear.lora_A.weight": torch.ones(2, 7)}, r"got A and B of \(2, 7\) and \(4, 2\) for linear; .* \(2, 6\)"),
        ({"linear.lora_B.weight": torch.ones(4, 3)}, r"and \(4, 3\) for linear; this model wants \(2, 6\), \(4, 2\)"),
        ({"linear.lora_B.weight": None}, "and None for linear"),
        ({"linear.lora_A.weight": None}, "got A and B of None"),
        ({"linear.lora_A.weight": torch.ones(())}, r"got A and B of \(\)"),
        ({"linear.lora_A.weight": torch.ones(0, 6), "linear.lora_B.weight": torch.ones(4, 0)}, r"of \(0, 6\)"),
        ({"liner.lora_A.weight": torch.ones(2, 6)}, "named liner.lora_A.weight, which no layer .* near are linear"),
        ({"embedding.lora_A.weight": torch.ones(2, 9)}, "named embedding.lora_A.weight, which no layer"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(zoo: Zoo, change: dict, message: str) -> None:
    adapter = {key: value for key, value in (state(zoo, 0, ["*"]) | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        lora.insert(zoo, adapter, name="one", alpha=1.0)
    assert lora.names(zoo) == []
    assert type(zoo.conv1d) is nn.Conv1d


def test_names_and_scales_are_checked(zoo: Zoo) -> None:
    adapter = state(zoo, 0, ["linear"])
    with pytest.raises(ValueError, match="got the LoRA 'one'; on this model are none"):
        lora.rescale(zoo, 1.0, "one")
    with pytest.raises(ValueError, match="got a LoRA's scale of inf"):
        lora.insert(zoo, adapter, name="one", alpha=1.0, scale=float("inf"))
    lora.insert(zoo, adapter, name="one", alpha=1.0)
    with pytest.raises(ValueError, match="got a second LoRA named 'one'"):
        lora.insert(zoo, adapter, name="one", alpha=1.0)
    with pytest.raises(ValueError, match="got the LoRA 'two'; on this model are one"):
        lora.weights(zoo, "two")
    with pytest.raises(ValueError, match="got a LoRA's scale of nan"):
        lora.rescale(zoo, float("nan"), "one")
