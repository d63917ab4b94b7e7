"""Low-rank adapters (LoRA, arXiv 2106.09685) on any Linear, Conv1d, Conv2d and Embedding of a model, by name.

    W' = W + scale_1 (alpha_1 / r_1) B_1 A_1 + scale_2 (alpha_2 / r_2) B_2 A_2 + ...

Adapters are stacked: each layer keeps W, and reading its `weight` gives W'. So the names of the model's own weights
stay what they are, and whatever computes with `layer.weight` is adapted, be it the layer itself or not.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn

from pixeldance.nets.names import matching, near

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """New adapters: their rank r, alpha (the strength is alpha / r), and the patterns of the layers that get one."""

    rank: int = 8
    alpha: float = 8.0
    layers: tuple[str, ...] = ("net.*",)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"got rank {self.rank}; wanted 1 or more")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"got alpha = {self.alpha}; wanted a number above 0, such as the rank")


class LowRank(nn.Module):
    """One adapter of one layer: A (r, ...) and B (out, r, ...) in the shapes of peft; `transposed` for an Embedding."""

    def __init__(self, a: Tensor, b: Tensor, *, name: str, alpha: float, scale: float, transposed: bool) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(each, requires_grad=False) for each in (a, b))
        self.name, self.alpha, self.scale, self.transposed = name, alpha, scale, transposed

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    def forward(self, weight: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """W' from W, or from other A and B. At scale 0 it is W itself, so that the base's bytes come back."""
        if self.scale == 0:
            return weight
        a, b = self.a if a is None else a, self.b if b is None else b
        change = (self.scale * self.alpha / self.rank * b.flatten(1)) @ a.flatten(1)
        change = change.T if self.transposed else change.reshape(weight.shape)
        return weight + change.to(weight.dtype)


class Adapted(nn.Module):
    """What a layer becomes while adapters are on it; its own weight stays among its parameters, to be read only."""

    lora: nn.ModuleList
    folded: Tensor | None

    @property
    def weight(self) -> Tensor:
        if self.folded is not None:
            return self.folded
        weight: Tensor = _own(self)
        for each in self.lora:
            weight = each(weight)
        return weight


def attach(model: nn.Module, lora: LoRA, rng: Generator, name: str = "default") -> dict[str, nn.Parameter]:
    """Freeze the model, put new adapters on it, and give their weights: all that trains from now on.

    A is drawn from `rng` (a CPU generator), uniform with a deviation of 1 / sqrt(3 fan_in), and B is zero: the model's
    output is the same to the bit until the first step. Raises ValueError for a pattern that fits no layer.
    """
    layers = adaptable(model)
    made = {}
    for each in matching(layers, lora.layers):
        a, b = _shapes(layers[each], lora.rank)
        # An embedding reads one row at a time: it sums over one input.
        bound = 1.0 if isinstance(layers[each], nn.Embedding) else math.prod(a[1:]) ** -0.5
        key_a, key_b = _keys(each, layers[each])
        made[key_a], made[key_b] = torch.empty(a).uniform_(-bound, bound, generator=rng), torch.zeros(b)
    insert(model, made, name=name, alpha=lora.alpha)
    model.requires_grad_(False)
    trained = weights(model, name)
    for weight in trained.values():
        weight.requires_grad_(True)
    return trained


def insert(model: nn.Module, state: Mapping[str, Tensor], *, name: str, alpha: float, scale: float = 1.0) -> None:
    """Put adapters with given weights on a model, frozen; `state` has the keys and shapes of `weights`.

    Raises ValueError, and changes nothing, for weights that do not fit the model's layers, and for a name in use.
    """
    _check_scale(scale)
    if name in names(model):
        raise ValueError(f"got a second LoRA named {name!r}; give it another name, or change the scale of the first")
    layers, left, chosen = adaptable(model), dict(state), {}
    for each, layer in layers.items():
        pair = [left.pop(key, None) for key in _keys(each, layer)]
        if any(weight is not None for weight in pair):
            chosen[each] = _fitting(each, layer, pair)
    if left:
        raise ValueError(
            f"got LoRA weights named {next(iter(left))}, which no layer of this model has; near are "
            f"{near(next(iter(left)), (key for each, layer in layers.items() for key in _keys(each, layer)))}"
        )
    if not chosen:
        raise ValueError("got a LoRA without weights; wanted an A and a B for one layer or more")
    for each, (a, b) in chosen.items():
        layer = layers[each]
        if not isinstance(layer, Adapted):
            layer.__class__ = _adapted(type(layer))
            layer.lora = nn.ModuleList()
            cast(Adapted, layer).folded = None
        transposed = isinstance(layer, nn.Embedding)
        made = LowRank(a.clone(), b.clone(), name=name, alpha=alpha, scale=scale, transposed=transposed)
        cast(nn.ModuleList, layer.lora).append(made.to(_own(layer).device))


def weights(model: nn.Module, name: str = "default") -> dict[str, nn.Parameter]:
    """The weights of one adapter by their names in peft: LAYER.lora_A.weight, or .lora_embedding_A, and B likewise."""
    found: dict[str, nn.Parameter] = {}
    for each, layer, pair in _pairs(model, name):
        found |= dict(zip(_keys(each, layer), (pair.a, pair.b), strict=True))
    return found


def picked(model: nn.Module, state: Mapping[str, Tensor], name: str = "default") -> dict[str, Tensor]:
    """The weights of one adapter, named as by `weights`, out of a state of the model: its own, or averages of it."""
    own = {id(weight): key for key, weight in model.named_parameters()}
    return {key: state[own[id(weight)]] for key, weight in weights(model, name).items()}


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str = "default") -> None:
    """Give an adapter that is on a model other weights, such as those of a run that goes on. ValueError if they differ
    in names or shapes."""
    on = weights(model, name)
    got, wanted = ({(key, tuple(value.shape)) for key, value in each.items()} for each in (state, on))
    odd = got ^ wanted
    if odd:
        raise ValueError(f"got other LoRA weights than the {len(on)} that are on this model, e.g. {sorted(odd)[:2]}")
    with torch.no_grad():
        for key, weight in on.items():
            weight.copy_(state[key])


def alphas(model: nn.Module, name: str = "default") -> set[tuple[int, float]]:
    """(rank, alpha) of one adapter's layers; those that `attach` made have one for all."""
    return {(pair.rank, pair.alpha) for _, _, pair in _pairs(model, name)}


def rescale(model: nn.Module, scale: float, name: str = "default") -> None:
    """Set how much one adapter counts: 1 is as trained, 0 is not at all, to the bit."""
    _check_scale(scale)
    for _, _, pair in _pairs(model, name):
        pair.scale = scale


def names(model: nn.Module) -> list[str]:
    """The adapters on a model, each once."""
    return list(dict.fromkeys(pair.name for _, _, pair in _stacked(model)))


@contextmanager
def folded(model: nn.Module) -> Iterator[None]:
    """While it lasts each W' is computed once instead of at each use, which costs the memory of a second W.

    For inference: gradients do not reach the adapters, and scales that change have no effect before its end.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, Adapted)]
    try:
        with torch.no_grad():
            for layer in layers:
                layer.folded = layer.weight
        yield
    finally:
        for layer in layers:
            layer.folded = None


def merge(model: nn.Module) -> None:
    """Fold all adapters, at their scales, into the layers' own weights; only loading the base again undoes it."""
    with torch.no_grad():
        for layer in list(model.modules()):
            if isinstance(layer, Adapted):
                _own(layer).copy_(layer.weight)
                _bare(layer)


def merged(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state of an adapted model (its own, or averages by the same names) as one of the plain model, W' for W."""
    plain = dict(state)
    for name, layer in model.named_modules():
        if isinstance(layer, Adapted):
            weight = plain[f"{name}.weight"]
            for number, pair in enumerate(layer.lora):
                a, b = (plain.pop(f"{name}.lora.{number}.{each}") for each in "ab")
                weight = pair(weight, a, b)
            plain[f"{name}.weight"] = weight
    return plain


def remove(model: nn.Module) -> None:
    """Take all adapters off: the model is as it was before them."""
    for layer in list(model.modules()):
        if isinstance(layer, Adapted):
            _bare(layer)


def adaptable(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that can have adapters, by name; grouped convolutions cannot."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, KINDS) and getattr(layer, "groups", 1) == 1
    }


def _check_scale(scale: float) -> None:
    if not math.isfinite(scale):
        raise ValueError(f"got a LoRA's scale of {scale}; wanted a finite number, 1 for as trained")


def _adapted(kind: Any) -> Any:
    """The class of a layer while it is adapted. torch's parametrizations do so too, but they rename the weight."""
    return type(f"Adapted{kind.__name__}", (Adapted, kind), {})


def _own(layer: nn.Module) -> nn.Parameter:
    return cast(nn.Parameter, layer._parameters["weight"])


def _bare(layer: nn.Module) -> None:
    del layer.lora, layer.folded
    layer.__class__ = type(layer).__bases__[1]


def _stacked(model: nn.Module) -> Iterator[tuple[str, nn.Module, LowRank]]:
    for name, layer in model.named_modules():
        if isinstance(layer, Adapted):
            for pair in layer.lora:
                yield name, layer, cast(LowRank, pair)


def _pairs(model: nn.Module, name: str) -> list[tuple[str, nn.Module, LowRank]]:
    found = [each for each in _stacked(model) if each[2].name == name]
    if not found:
        raise ValueError(f"got the LoRA {name!r}; on this model are {', '.join(names(model)) or 'none'}")
    return found


def _keys(name: str, layer: nn.Module) -> tuple[str, str]:
    if isinstance(layer, nn.Embedding):
        return f"{name}.lora_embedding_A", f"{name}.lora_embedding_B"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight"


def _shapes(layer: nn.Module, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    out, *inside = _own(layer).shape
    if isinstance(layer, nn.Embedding):
        return (rank, out), (inside[0], rank)
    return (rank, *inside), (out, rank, *(1 for _ in inside[1:]))


def _fitting(name: str, layer: nn.Module, pair: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    a, b = pair
    got = [None if weight is None else tuple(weight.shape) for weight in pair]
    rank = a.shape[0] if a is not None and a.ndim else 1
    wanted = _shapes(layer, rank)
    if a is None or b is None or got != list(wanted) or rank < 1:
        raise ValueError(f"got A and B of {got[0]} and {got[1]} for {name}; this model wants {wanted[0]}, {wanted[1]}")
    return a, b
