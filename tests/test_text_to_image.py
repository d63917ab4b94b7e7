"""First frames from a text-to-image model: it makes what is missing in its own way, and is kept with the model."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import ILLUSTRATED, REFINED, TINY, random_parts

from pixeldance import checkpoint
from pixeldance.condition import ImageSlots
from pixeldance.diffusion.noise import generators
from pixeldance.forecast import clips
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import FIRST, Instruction
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts

ASKED = Instruction(text="a red star moves left", length=4, size=(32, 32))
PICTURE = replace(ASKED, length=1)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return random_parts(ILLUSTRATED)


def own(parts: Parts) -> Parts:
    assert parts.text_to_image is not None
    return parts.text_to_image


def test_a_picture_is_what_the_model_of_its_own_makes_of_the_text(parts: Parts) -> None:
    """With its own guidance and in the steps that were asked for, each of which is told."""
    seen, told = list[int](), list[int]()
    hook = own(parts).net.register_forward_pre_hook(lambda *_: seen.append(1))
    made = generate(parts, [PICTURE], generators([7]), Sampling(steps=2, guidance=1.0), lambda i, _: told.append(i))
    hook.remove()
    picture = generate(own(parts), [PICTURE], generators([7]), Sampling(steps=2))
    assert (len(seen), told) == (2 * 2, [0, 1])
    torch.testing.assert_close(parts.codec.decode(made), own(parts).codec.decode(picture))


def test_a_missing_first_frame_is_that_picture(parts: Parts) -> None:
    rng, same = generators([7])[0], generators([7])[0]
    made = generate(parts, [ASKED], [rng])
    picture = generate(parts, [PICTURE], [same])
    assert torch.equal(made, generate(parts, [replace(ASKED, frames={FIRST: picture[0, 0]})], [same]))


def test_a_first_frame_that_is_given_asks_it_nothing(parts: Parts) -> None:
    given = replace(ASKED, frames={FIRST: torch.randn(48, 8, 8, generator=generators([1])[0])})
    plain = random_parts(TINY)
    plain.load_state_dict(parts.state_dict(), strict=False)
    assert torch.equal(generate(parts, [given], generators([7])), generate(plain, [given], generators([7])))


def test_it_is_kept_with_the_model_and_reads_by_the_same_encoder(parts: Parts, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model", parts, torch.float32)
    again = checkpoint.load(tmp_path / "model")
    assert own(again).text is again.text
    assert not [name for name in again.state_dict() if name.startswith("text_to_image.text")], "kept once"
    assert torch.equal(generate(again, [ASKED], generators([3])), generate(parts, [ASKED], generators([3])))
    names = {file.stem for file in (tmp_path / "model").glob("*.safetensors")}
    assert names == {"codec", "text", "net", "text_to_image.codec", "text_to_image.net"}
    (tmp_path / "model" / "text_to_image.net.safetensors").unlink()
    with pytest.raises(ValueError, match=r"text_to_image.net.safetensors: missing"):
        checkpoint.load(tmp_path / "model")


def test_its_passes_are_foretold(parts: Parts) -> None:
    """A pass over the video takes one tick, one over the picture ten: 3 steps of both, each with guidance."""
    ticks = [0.0]
    hooks = [
        net.register_forward_hook(lambda *_, of=of: ticks.__setitem__(0, ticks[0] + of))
        for net, of in ((parts.net, 1), (own(parts).net, 10))
    ]
    try:
        foretold = [
            clips(Pipeline(parts), each, Sampling(), clock=lambda: ticks[0]).seconds.likely for each in (ASKED, PICTURE)
        ]
    finally:
        for hook in hooks:
            hook.remove()
    assert foretold == pytest.approx([3 * 2 + 3 * 2 * 10, 3 * 2 * 10])


def test_a_refiner_of_its_own_is_kept_too(tmp_path: Path) -> None:
    model = ILLUSTRATED.text_to_image
    assert model is not None
    assert REFINED.refiner is not None
    net = replace(REFINED.refiner.net, concat=0, carry=(0,), temporal="none")
    refined = replace(model, refiner=replace(REFINED.refiner, net=net))
    parts = random_parts(replace(ILLUSTRATED, text_to_image=refined))
    refiner = own(parts).refiner
    assert refiner is not None
    torch.nn.init.normal_(refiner.unet.conv_out.weight)
    checkpoint.save(tmp_path / "model", parts, torch.float32)
    again = checkpoint.load(tmp_path / "model")
    assert torch.equal(generate(again, [PICTURE], generators([3])), generate(parts, [PICTURE], generators([3])))


def test_weights_of_a_model_without_one_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model", random_parts(TINY))
    with pytest.raises(ValueError, match=r"a checkpoint without text_to_image\.codec"):
        checkpoint.fill(Parts(ILLUSTRATED), tmp_path / "model")


def test_one_that_cannot_serve_is_refused() -> None:
    model = ILLUSTRATED.text_to_image
    assert model is not None
    with pytest.raises(ValueError, match=r"length=20.* and takes frames \(\)"):
        replace(ILLUSTRATED, text_to_image=replace(model, text=replace(model.text, length=20)))
    with pytest.raises(ValueError, match=r"takes frames \(0, -1\)"):
        replace(ILLUSTRATED, text_to_image=TINY)
    with pytest.raises(ValueError, match=r"got a text-to-image model of frames=\(4,\)"):
        replace(ILLUSTRATED, text_to_image=replace(model, frames=(4,)))
    with pytest.raises(ValueError, match=r"a system of frames=\(4,\)"):
        replace(ILLUSTRATED, frames=(4,))
    with pytest.raises(ValueError, match="trained='text'"):
        replace(ILLUSTRATED, trained=("text", "net"))
    with pytest.raises(ValueError, match=r"at least the sizes \(\(32, 32\),\)"):
        replace(ILLUSTRATED, text_to_image=replace(model, sizes=((64, 64),)))
    unled = replace(TINY, trained=("net",), condition=ImageSlots(first=0, last=False), net=replace(TINY.net, concat=0))
    with pytest.raises(ValueError, match=r"that takes \(\)"):
        replace(unled, text_to_image=model)
