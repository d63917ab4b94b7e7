"""The arms of published systems: verdicts follow from values, and what was trained or measured is not done again."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pixeldance.codec import from_pixels
from pixeldance.data.toybox import clip
from pixeldance.nets.vae import AutoencoderKL
from pixeldance.system import Parts
from pixeldance.systems import PUBLISHED
from pixeldance.systems.toy import FRAMES, SIZE, TOY_WORLD, fit_codec

FOLDER = Path(__file__).parents[2] / "experiments" / "systems"
NAMES = ("common", "measures", "trained", "worlds", "priors", "vdm", "gen_l_video", "lvdm", "nuwa_xl", "emu_video")
NAMES += ("imagen_video", "make_a_video", "rates", "modelscope", "latent_video", "tune_a_video")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The experiments, writing into an empty folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER.parents[1] / "tests"))
    found = {name: importlib.import_module(name) for name in NAMES}
    monkeypatch.setattr(found["common"], "RUNS", tmp_path / "runs")
    monkeypatch.setattr(found["common"], "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["experiments/systems/trained.py"])
    yield found
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("sign", "threshold", "verdict"),
    [(-1, 0.3, "held"), (-1, 0.7, "failed"), (1, 0.3, "failed"), (-1, 0.5, "undecided")],
)
def test_the_verdict_is_about_the_share_of_theirs(
    modules: dict[str, ModuleType], tmp_path: Path, sign: int, threshold: float, verdict: str
) -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(4.0, 0.4, (3, 16))
    ours = theirs - 2.0 + rng.normal(0, 0.1, (3, 16))  # half of theirs
    values = {"ours": ours.tolist(), "theirs": theirs.tolist()}
    modules["common"].judge("vdm", "It is better.", "error", values, threshold, sign, {"steps": 1})
    result = json.loads((tmp_path / "results" / "vdm.json").read_text())
    assert (result["verdict"], result["steps"], result["seeds"]) == (verdict, 1, 3)
    assert result["difference"] == pytest.approx(-sign * 0.5, abs=0.02)


def test_what_was_done_is_not_done_again(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    common, trained = modules["common"], modules["trained"]
    model = common.Model(name="pictures", published=common.base("text2video-zero"), steps=1)
    measured: list[str] = []

    def measure(parts: Parts, seed: int) -> list[float]:
        measured.append(parts.system.net.keys)
        return [1.0 + seed, 2.0]

    other = trained.with_net(model.published, keys="own")
    settings: dict[str, Any] = {"claim": "c", "unit": "u", "measure": measure, "threshold": 0.0, "seeds": (0, 1)}
    ours, theirs = common.Arm(name="a b", model=model), common.Arm(name="own", model=model, sampled=other)
    question = common.Question(system="text2video-zero", ours=ours, theirs=theirs, **settings)
    common.answer(question)
    assert measured == ["first"] * 2 + ["own"] * 2
    saved = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("net.safetensors")}
    assert len(saved) == 2
    common.answer(question)
    assert len(measured) == 4
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("net.safetensors")} == saved
    result = json.loads((tmp_path / "results" / "text2video-zero.json").read_text())
    assert (result["verdict"], result["difference"]) == ("undecided", 0.0)
    assert result["parameters"]["a b"] == result["parameters"]["own"]


def test_every_question_is_of_a_system_on_equal_terms(modules: dict[str, ModuleType]) -> None:
    for name, question in modules["trained"].QUESTIONS.items():
        assert question.system in PUBLISHED
        assert name.partition(".")[0] == question.system
        assert question.ours.model.steps == question.theirs.model.steps
        assert question.seeds == (0, 1, 2)


def test_every_measure_gives_a_value_a_request(modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    measures, common = modules["measures"], modules["common"]
    monkeypatch.setattr(measures, "REQUESTS", 2)
    parts = Parts(common.base("flexible-diffusion").system).eval().requires_grad_(False)
    whole, filled = measures.prediction_error(parts, 0), measures.prediction_error(parts, 0, given=(0, 7))
    assert len(whole) == len(filled) == len(measures.flicker(parts, 0)) == 2
    assert all(np.isfinite([*whole, *filled]))
    told = measures.colour_told(Parts(common.base("make-a-video").system).eval().requires_grad_(False), 0)
    assert set(told) <= {0.0, 1.0}
    assert len(told) == 2
    assert whole != filled


def test_the_colour_of_real_clips_is_read(modules: dict[str, ModuleType]) -> None:
    for number in range(12):
        shown = clip(number, world=TOY_WORLD, size=SIZE, frames=FRAMES)
        assert modules["measures"].has_colour(from_pixels(shown.video), shown.text)
        assert not modules["measures"].has_colour(from_pixels(shown.video), "a pink square moves left")
    assert not modules["measures"].has_colour(torch.ones(2, 3, 8, 8), "a red square moves left")


def test_more_noise_keeps_a_stages_faults_out_and_none_lets_them_through(modules: dict[str, ModuleType]) -> None:
    """At a share of 1 nothing of the first stage is left: clips are the world's own, but for those of finite number."""
    refined, truth = modules["imagen_video"].refined, modules["worlds"].world(3, 8).cov
    missed = [
        float((torch.cov(refined(truth, share, torch.Generator().manual_seed(0))) - truth).abs().mean())
        for share in (0.0, 0.1, 0.999)
    ]
    assert missed[0] > 1.15 * missed[1] > missed[2]


def test_the_model_of_a_world_fills_in_what_it_should(modules: dict[str, ModuleType]) -> None:
    """The mean of the frames between two known ones is the conditional one, and the ends stay what they are."""
    between, world = modules["make_a_video"].between, modules["worlds"].world(5, 8)
    known = torch.ones(1, 8, 1, 32, 32)
    clip = between(known, 5, seed=0)
    assert torch.equal(clip[:, [0, 7]], known[:, [0, 7]])
    wanted = world.given([0, 7], [1.0, 1.0]).mean
    torch.testing.assert_close(clip[0].flatten(1).mean(1).double(), wanted, atol=0.06, rtol=0)


def test_the_order_of_rates_is_read_from_how_far_things_go(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that obeys the rate makes the real clips; one that is told another rate makes one clip for all."""
    rates = modules["rates"]
    monkeypatch.setattr(rates, "REQUESTS", 2)
    monkeypatch.setattr(rates, "rendered", lambda parts, number, fps, seed: rates.rated(number, fps).video)
    assert rates.in_order(None, 0) == [1.0, 1.0]
    assert rates.in_order(None, 0, told=8.0) == [0.5, 0.5]
    monkeypatch.setattr(rates, "rendered", lambda parts, number, fps, seed: rates.rated(number, 64 / fps).video)
    assert rates.in_order(None, 0) == [0.0, 0.0]


def test_the_rate_that_is_asked_for_is_told(modules: dict[str, ModuleType]) -> None:
    rates, common = modules["rates"], modules["common"]
    parts = Parts(rates.told_rates(common.base("svd")).system).eval().requires_grad_(False)
    torch.nn.init.normal_(parts.net.conv_out.weight)
    slow, fast, again = (rates.rendered(parts, 0, fps, seed=0) for fps in (4.0, 16.0, 4.0))
    assert (slow != fast).any()
    assert (slow == again).all()


def test_pictures_are_unchanged_only_by_the_same_weights(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = modules["measures"]
    monkeypatch.setattr(measures, "REQUESTS", 1)
    parts, other = (Parts(modules["common"].base("latent-video").system).eval() for _ in range(2))
    torch.nn.init.normal_(other.net.conv_out.weight)
    assert measures.pictures_changed(parts, 0, lambda seed: parts) == [0.0]
    assert measures.pictures_changed(other, 0, lambda seed: parts) == [1.0]


def test_a_fade_survives_the_norm_of_the_video_alone(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules["modelscope"], "FADES", 2)
    (video, *_), (frame, *_) = (modules["modelscope"].misses(over) for over in ("video", "frame"))
    assert max(video) < 0.01 < min(frame)


def test_a_decoder_is_tuned_from_the_one_that_it_was(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    latent_video = modules["latent_video"]
    net, latents = AutoencoderKL(latent_video.VAE).requires_grad_(False), torch.randn(1, 4, 8, 8, 8)
    monkeypatch.setattr(latent_video, "STEPS", 2)
    for over_time in (True, False):
        assert torch.equal(latent_video.Decoder(net, over_time)(latents)[0], net.decode(latents[0]))
        decoder = latent_video.tuned(net, 0, over_time)
        whole, alone = decoder(latents)[0], decoder(latents[:, :1])[0]
        assert not torch.equal(whole, net.decode(latents[0]))
        assert torch.allclose(whole[:1], alone, atol=1e-5) is not over_time


def test_an_edit_from_the_clips_noise_is_the_clip_where_nothing_is_changed(modules: dict[str, ModuleType]) -> None:
    edits = modules["tune_a_video"]
    parts = Parts(edits.OWN.system).eval().requires_grad_(False)
    fit_codec(parts)
    torch.nn.init.zeros_(parts.net.conv_out.weight)
    squares = edits.Squares(frames=FRAMES, only=3)
    source = squares.read(7, np.random.default_rng(0))
    colour = source.text.split()[1]
    assert edits.said(colour) == source.text
    assert (source.video == squares.read(8, np.random.default_rng(0)).video).all()
    kept, fresh = (edits.edited(parts, source, colour, 0, inverted) for inverted in (True, False))
    away = [float((each - from_pixels(source.video)).abs().mean()) for each in (kept, fresh)]
    assert away[0] < 0.2 < away[1]
