"""Every published system is plain data, trains and generates at toy size; what makes each of them is seen to work."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pixeldance import checkpoint
from pixeldance.data.clip import Example
from pixeldance.data.encode import encode
from pixeldance.data.toybox import clip
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import Instruction
from pixeldance.nets.attention import TransformerBlock
from pixeldance.nets.unet import UNet
from pixeldance.system import Parts, System
from pixeldance.systems import PUBLISHED
from pixeldance.systems.toy import FPS, FRAMES, SIZE, TOY_WORLD, run, toy
from pixeldance.training.objective import coarse, loss
from pixeldance.training.sets import RandomSet

TEXT = "a red square moves left"


def parts_of(name: str, **changes: Any) -> Parts:
    """A toy system with every weight other than zero, so that all parts of it count."""
    system = replace(toy(PUBLISHED[name]).system, **changes)
    torch.manual_seed(0)
    parts = Parts(system).eval().requires_grad_(False)
    for weight in parts.net.parameters():
        if not bool(weight.any()):
            torch.nn.init.normal_(weight, std=0.05)
    return parts


def asked(system: System, length: int = FRAMES, **frames: Tensor) -> Instruction:
    return Instruction(text=TEXT, frames=dict(frames), length=length, size=SIZE, fps=FPS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_plain_data_that_says_where_it_comes_from(name: str) -> None:
    published = PUBLISHED[name]
    for system in (published.system, toy(published).system):
        assert checkpoint.from_json(checkpoint.to_json(system)) == system
    assert "arXiv" in published.line
    assert name == "pixeldance" or "Where it deviates" in " ".join(published.about.split())


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_takes_two_steps_of_training_and_generates(name: str) -> None:
    small = toy(PUBLISHED[name])
    torch.manual_seed(0)
    parts = Parts(small.system)
    run(small)  # a recipe that is refused would raise
    frames = 1 if small.image_every == 1 else FRAMES
    clips = encode(parts.codec, [clip(number, world=TOY_WORLD, size=SIZE, frames=frames) for number in range(2)])
    optimiser = torch.optim.AdamW([*parts.text.parameters(), *parts.net.parameters()], lr=1e-3)
    before = [weight.detach().clone() for weight in parts.net.parameters()]
    for step in range(2):
        value = loss(parts, small.objective, clips, torch.tensor([0.3, 0.8]), generators([step, step + 1]))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        assert value.isfinite()
    assert any(not torch.equal(old, new) for old, new in zip(before, parts.net.parameters(), strict=True))
    length = small.system.frames[0]
    instruction = Instruction(text=TEXT, length=length, size=SIZE, fps=FPS)
    x = generate(parts, [instruction], generators([0]), Sampling(steps=3))
    assert x.shape == (1, length, 24, 4, 4)


def test_magicvideo_never_looks_ahead() -> None:
    parts = parts_of("magicvideo")
    x = torch.randn(1, FRAMES, 24, 4, 4)
    code = parts.text([TEXT])
    told = {"tokens": code.tokens, "mask": code.mask, "vector": code.vector}
    before = parts.net(x, torch.tensor([500.0]), **told)
    x[:, 5] += 1
    changed = (parts.net(x, torch.tensor([500.0]), **told) != before).flatten(2).any(2)[0].tolist()
    assert changed == [False] * 5 + [True] * 3


def test_vdm_holds_any_frames_exactly_and_the_others_answer() -> None:
    parts = parts_of("vdm")
    free = generate(parts, [asked(parts.system)], generators([3]), Sampling(steps=4))
    known = torch.randn(2, 24, 4, 4)
    instruction = replace(asked(parts.system), frames={2: known[0], -1: known[1]})
    parts.system.check(instruction)
    held = generate(parts, [instruction], generators([3]), Sampling(steps=4))
    assert torch.equal(held[0, 2], known[0])
    assert torch.equal(held[0, -1], known[1])
    assert not torch.allclose(held[0, 3], free[0, 3])
    with pytest.raises(ValueError, match=r"got pictures for frames \[8\] of a video of 8"):
        parts.system.check(replace(instruction, frames={8: known[0]}))


def test_gen_l_video_s_first_and_last_window_have_the_ends() -> None:
    """A model of 8 frames with both ends given makes 12 in windows: each end reaches its own window alone."""
    parts = parts_of("pixeldance", window=toy(PUBLISHED["gen-l-video"]).system.window, frames=(8, 1, 12))
    first, last, other = torch.randn(3, 24, 4, 4)

    def made(first: Tensor, last: Tensor) -> Tensor:
        instruction = replace(asked(parts.system, length=12), frames={0: first, -1: last})
        return generate(parts, [instruction], generators([3]), Sampling(steps=1))[0]

    assert parts.system.window is not None
    assert parts.system.window.spans(12) == [slice(0, 8), slice(4, 12)]
    base = made(first, last)
    changed = [not torch.equal(*pair) for pair in zip(base, made(other, last), strict=True)]
    assert changed == [True] * 8 + [False] * 4
    changed = [not torch.equal(*pair) for pair in zip(base, made(first, other), strict=True)]
    assert changed == [False] * 4 + [True] * 8


def test_svd_s_guidance_rises_from_the_first_frame_to_the_last() -> None:
    def made(**changes: Any) -> Tensor:
        parts = parts_of("svd", **changes)
        instruction = replace(asked(parts.system, length=7), frames={0: torch.ones(24, 4, 4)})
        return generate(parts, [instruction], generators([3]), Sampling(steps=1))[0]

    rising, alike, none = made(guidance=5.0), made(guidance=5.0, guidance_first=None), made(guidance=1.0)
    torch.testing.assert_close(rising[0], none[0])
    torch.testing.assert_close(rising[-1], alike[-1])
    assert not torch.allclose(alike[0], none[0])
    torch.testing.assert_close(rising[3], (alike[3] + none[3]) / 2)


def test_text2video_zero_moves_its_frames_and_starts_them_from_one() -> None:
    still = parts_of("text2video-zero", warp=None)
    moving = parts_of("text2video-zero")
    independent, warped = (
        generate(parts, [asked(parts.system, length=4)], generators([3]), Sampling(steps=6))[0]
        for parts in (still, moving)
    )

    def likeness(x: Tensor) -> float:
        return float(torch.corrcoef(x[:2].flatten(1))[0, 1])

    assert likeness(warped) > likeness(independent) + 0.2


def test_flexible_diffusion_gives_sets_of_every_kind() -> None:
    objective = toy(PUBLISHED["flexible-diffusion"]).objective
    parts = parts_of("flexible-diffusion")
    (example,) = encode(parts.codec, [clip(0, world=TOY_WORLD, size=SIZE, frames=FRAMES)])
    sets = [tuple(sorted(objective.instruct(example, rng).frames)) for rng in generators(range(300))]
    leading = [tuple(range(count)) for count in range(1, FRAMES)]
    assert sets.count(()) > 60
    assert sum(each in leading for each in sets) > 60
    assert sum(bool(each) and each not in leading for each in sets) > 60
    assert max(map(len, sets)) == FRAMES - 1
    for index, latent in objective.instruct(example, generators([4])[0]).frames.items():
        assert torch.equal(torch.as_tensor(latent), example.latents[index])
    with pytest.raises(ValueError, match="wanted one or more of none, leading, any"):
        RandomSet(kinds=())


def test_dynamicrafter_reads_its_picture_through_gates() -> None:
    """x + attention(x, text) + tanh(gate) attention(x, picture), in every layer that reads the text."""
    parts = parts_of("dynamicrafter")
    block = next(each for each in parts.net.modules() if isinstance(each, TransformerBlock) and each.image_tokens)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 3 + block.image_tokens, 32)
    assert block.norm_cross is not None
    assert block.cross_attention is not None
    open_, shut = torch.tensor([0.7]), torch.tensor([0.0])
    before = x + block.self_attention(block.norm_self(x))
    text = block.cross_attention(before, context[:, :3], None, block.norm_cross)
    picture = block.image_attention(before, context[:, 3:], None, block.norm_cross)
    for gate in (open_, shut):
        block.gate.data = gate
        told = before + text + gate.tanh() * picture
        torch.testing.assert_close(block(x, context), told + block.feed_forward(told, block.norm_feed))


def test_dynamicrafter_with_shut_gates_is_the_network_without_them() -> None:
    parts = parts_of("dynamicrafter")
    config = replace(parts.system.net, image_tokens=0)
    plain, state = UNet(config).eval(), parts.net.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    code, concat = parts.text([TEXT]), torch.randn(1, FRAMES, config.concat, 4, 4)
    told = {"tokens": code.tokens, "mask": code.mask, "vector": code.vector}
    x, level = torch.randn(1, FRAMES, 24, 4, 4), torch.tensor([500.0])
    opened = parts.net(x, level, concat=concat, **told)
    for block in parts.net.modules():
        if isinstance(block, TransformerBlock) and block.image_tokens:
            block.gate.data.zero_()
    assert torch.equal(parts.net(x, level, concat=concat, **told), plain(x, level, concat=concat, **told))
    assert not torch.allclose(opened, plain(x, level, concat=concat, **told))
    with pytest.raises(ValueError, match="got image_tokens=16 with concat=0"):
        replace(config, image_tokens=16, concat=0)


def test_make_a_video_learns_words_from_stills_alone() -> None:
    objective = toy(PUBLISHED["make-a-video"]).objective
    parts = parts_of("make-a-video")
    for frames, told in ((FRAMES, False), (1, True)):
        shown = encode(parts.codec, [clip(0, world=TOY_WORLD, size=SIZE, frames=frames)])[0]
        asked = [objective.instruct(shown, rng) for rng in generators(range(40))]
        assert {each.text for each in asked} == ({shown.text, ""} if told else {""})
        # As often as not it is shown where the video ends, and then learns to make what lies between.
        ends = sum(-1 in each.frames for each in asked)
        assert (10 < ends < 30) if frames > 1 else ends == 0


def test_imagen_video_is_given_what_a_smaller_stage_would_leave() -> None:
    latents = torch.arange(2 * 16.0).reshape(2, 1, 4, 4)
    left = coarse(latents, 2)
    assert left[0, 0].tolist() == [[2.5, 2.5, 4.5, 4.5]] * 2 + [[10.5, 10.5, 12.5, 12.5]] * 2
    parts, objective = parts_of("imagen-video"), toy(PUBLISHED["imagen-video"]).objective
    shown = Example(text=TEXT, latents=torch.randn(FRAMES, 24, 4, 4))
    frames = objective.instruct(shown, generators([0])[0]).frames
    assert list(frames) == list(range(FRAMES))
    assert torch.equal(torch.stack([torch.as_tensor(each) for each in frames.values()]), coarse(shown.latents, 2))
    base = asked(parts.system)
    made = [
        generate(parts, [replace(base, frames=dict(enumerate(given)))], generators([3]), Sampling(steps=2))
        for given in (coarse(shown.latents, 2), coarse(shown.latents.flip(0), 2))
    ]
    assert not torch.allclose(*made)
