"""Calling a model from Python: what goes in, what comes out, and what is refused."""

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, random_parts

import pixeldance
from pixeldance import checkpoint
from pixeldance.condition import MICRO, ImageSlots
from pixeldance.diffusion.noise import generators
from pixeldance.pipeline import MAX_PROMPT, SHIPPED, Pipeline, check_seed, instruct

TEXT = "a red circle moves right"
FAST: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1.0}


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(random_parts())


def picture(seed: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def frames(pipe: Pipeline, **asked: Any) -> np.ndarray:
    return pipe(asked.pop("prompt", TEXT), output_type="np", **{"seed": 7} | FAST | asked).frames


def test_every_output_type_shows_the_same_video(pipe: Pipeline) -> None:
    out = {
        kind: pipe(TEXT, picture(0), seed=7, output_type=kind, **FAST).frames for kind in ("pil", "np", "pt", "latent")
    }
    assert isinstance(out["pil"][0][0], Image.Image)
    pixels = np.stack([np.array(frame) for frame in out["pil"][0]])
    assert pixels.shape == (4, 32, 32, 3)
    assert out["np"].shape == (1, 4, 32, 32, 3)
    assert out["np"].dtype == np.float32
    np.testing.assert_array_equal(np.round(out["np"][0] * 255), pixels)
    assert out["pt"].shape == (1, 4, 3, 32, 32)
    np.testing.assert_array_equal(out["pt"].movedim(2, -1).numpy(), out["np"])
    assert out["latent"].shape == (1, 4, 48, 8, 8)
    np.testing.assert_array_equal(pipe.decode(out["latent"])[0], pixels)


def test_video_i_of_a_call_has_seed_s_plus_i(pipe: Pipeline) -> None:
    many = frames(pipe, prompt=["a red circle", "a blue star"], num_videos_per_prompt=2, image=picture(0), seed=5)
    for index, prompt in enumerate(["a red circle", "a red circle", "a blue star", "a blue star"]):
        np.testing.assert_array_equal(many[index], frames(pipe, prompt=prompt, image=picture(0), seed=5 + index)[0])


def test_a_seed_and_its_generator_are_the_same(pipe: Pipeline) -> None:
    seeded = frames(pipe, image=picture(0), num_videos_per_prompt=2)
    drawn = frames(pipe, image=picture(0), num_videos_per_prompt=2, seed=None, generator=generators([7, 8]))
    np.testing.assert_array_equal(seeded, drawn)
    one = frames(pipe, image=picture(0), seed=None, generator=torch.Generator().manual_seed(7))
    np.testing.assert_array_equal(one, seeded[:1])


def test_without_a_seed_videos_differ(pipe: Pipeline) -> None:
    assert (frames(pipe, seed=None) != frames(pipe, seed=None)).any()


def test_render_and_call_agree(pipe: Pipeline) -> None:
    rendered = pipe.render(pipe.instruct(TEXT, picture(0), picture(1)), generators([7])[0])
    called = pipe(TEXT, picture(0), picture(1), seed=7).frames[0]
    np.testing.assert_array_equal(rendered, np.stack([np.array(frame) for frame in called]))


def test_pictures_come_as_paths_bytes_images_and_arrays(pipe: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(picture(3)).save(file)
    for source in (file, str(file), file.read_bytes(), Image.open(file), picture(3)):
        np.testing.assert_array_equal(pipe.instruct(TEXT, source).frames[0], picture(3))


def test_pictures_of_another_shape_are_padded_or_cropped(pipe: Pipeline) -> None:
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, 16:48] = 255
    padded, cropped = (pipe.instruct(TEXT, wide, fit_rule=rule).frames[0] for rule in ("pad", "crop"))
    assert padded.shape == cropped.shape == (32, 32, 3)
    assert np.asarray(cropped).mean() > 250  # the middle, which is white
    assert np.asarray(padded).mean() < 140  # all of it, and bars


def test_the_callback_sees_every_step_and_may_stop(pipe: Pipeline) -> None:
    seen: list[int] = []

    def note(who: Pipeline, step: int, time: int, values: dict[str, torch.Tensor]) -> None:
        assert who is pipe
        assert values["latents"].shape == (1, 4, 48, 8, 8)
        seen.append(step)
        if len(seen) == 5:
            raise InterruptedError

    ask: dict[str, Any] = {"image": picture(0), "guidance_scale": 1.0, "tau": 0.5, "callback_on_step_end": note}
    pipe(TEXT, last_image=picture(1), **ask)
    assert seen == [0, 1, 2]
    with pytest.raises(InterruptedError):
        pipe(TEXT, **ask)
    assert seen == [0, 1, 2, 0, 1]


def test_words_that_the_model_does_not_know_are_named(pipe: Pipeline) -> None:
    with pytest.warns(UserWarning, match="leaves them out: xyzzy, gryphon$"):
        frames(pipe, prompt=["a red xyzzy", "a gryphon and a xyzzy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames(pipe)
    assert pipe.unknown_words("Xyzzy, xyzzy and a Gryphon") == ["xyzzy", "gryphon"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prompt": ""}, "got an empty prompt; wanted words"),
        ({"prompt": " \n\t"}, "got an empty prompt"),
        ({"prompt": "!!! ..."}, "got a prompt without words"),
        ({"prompt": "red " * 48}, "this model reads 47 words"),
        ({"prompt": "x" * 2**20}, f"got a prompt of 1,048,576 characters.*at most {MAX_PROMPT:,} characters"),
        ({"prompt": [TEXT, ""]}, "got an empty prompt"),
        ({"prompt": []}, "got 0 prompts"),
        ({"num_videos_per_prompt": 0}, "0 videos for each; wanted 1 or more"),
        ({"num_frames": 5}, "got 5 frames; this model makes 4 or 1: try 4"),
        ({"num_frames": 10**9}, "try 4"),
        ({"num_frames": 0}, "try 1"),
        ({"num_frames": 1, "image": picture(0)}, "got a picture for a video of one frame"),
        ({"width": 64}, r"got a size of 64x32 \(width x height\); this model makes 32x32: try 32x32"),
        ({"height": 0}, "got a size of 32x0"),
        ({"fit_rule": "stretch", "image": picture(0, (8, 16))}, "choose 'pad'"),
        ({"image": "nowhere.png"}, "no such file"),
        ({"num_inference_steps": 0}, "got 0 steps"),
        ({"guidance_scale": math.nan}, "guidance scale of nan"),
        ({"fps": 0}, "got 0 frames per second; wanted a number above 0, e.g. this model's 8"),
        ({"fps": math.nan}, "got nan frames per second"),
        ({"tau": 1.5}, "got tau = 1.5"),
        ({"tau": 0.5, "tau_steps": 1}, "give one of them"),
        ({"seed": -1}, "got seed -1; wanted a whole number from 0"),
        ({"seed": 2**32}, "got seed"),
        ({"seed": 2**32 - 1, "num_videos_per_prompt": 2}, "got seed"),
        ({"generator": torch.Generator()}, "got both generator and seed"),
        ({"seed": None, "generator": generators([1, 2])}, "got 2 generators for 1 videos"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_refused(pipe: Pipeline, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frames(pipe, **asked)


def test_pictures_that_a_model_does_not_take_are_refused_before_they_are_rendered() -> None:
    system = replace(TINY, condition=ImageSlots(last=False), net=replace(TINY.net, concat=49))
    with pytest.raises(ValueError, match=r"got pictures for frames \[-1\]; this model takes a first \(0\) frame"):
        instruct(system, TEXT, picture(0), picture(1))


def test_the_rate_reaches_a_model_that_was_taught_rates() -> None:
    taught = Pipeline(random_parts(replace(TINY, vector=("fps",), net=replace(TINY.net, vector=MICRO))))
    own, same, other = (frames(taught, image=picture(0), **rate) for rate in ({}, {"fps": 8.0}, {"fps": 24.0}))
    np.testing.assert_array_equal(own, same)
    assert (own != other).any()


@pytest.mark.parametrize("seed", [1.5, "7", True, None, math.nan, -1, 2**80])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    with pytest.raises(ValueError, match="wanted a whole number"):
        check_seed(seed)


def test_load_opens_a_folder(tiny_model: Path) -> None:
    pipe = pixeldance.load(tiny_model)
    assert pipe.system == TINY
    assert pipe.folder == tiny_model
    assert pipe.model_hash == checkpoint.model_hash(tiny_model)
    np.testing.assert_array_equal(frames(pipe), frames(pixeldance.load(str(tiny_model))))


def test_load_without_a_folder_is_the_shipped_model() -> None:
    if not SHIPPED.exists():
        with pytest.raises(ValueError, match=r"config\.json"):
            pixeldance.load()
        return
    pipe = pixeldance.load()
    assert pipe.folder == SHIPPED
    assert pipe.system.sizes == ((64, 64),)
    assert pipe.system.frames == (16, 1)
