"""The proxies: the network that ships, and that only what was found to rank corruptions may be reported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pixeldance.data.toybox import clip
from pixeldance.metrics import proxy
from pixeldance.metrics.frechet import frechet_distance
from pixeldance.metrics.inception_score import inception_score
from pixeldance.metrics.measure import Sets, measured

RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def test_the_network_that_ships_is_the_one_that_was_measured():
    assert proxy.WEIGHTS.stat().st_size <= 10**6
    assert json.loads((RESULTS / "proxy_network.json").read_text())["sha256"] == proxy.digest()
    ranks = json.loads(proxy.RANKS.read_text())
    assert ranks["network"] == proxy.digest()
    full = json.loads((RESULTS / "proxy_ranks.json").read_text())
    assert full["spearman"] == ranks["spearman"]
    for name, by_corruption in ranks["spearman"].items():
        assert len(by_corruption) == 7
        assert (proxy.trusted(name) is None) == (min(by_corruption.values()) > 0.9)


def test_a_row_depends_on_its_own_video_alone():
    videos = [clip(seed).video for seed in range(3)]
    features, facts = proxy.seen(videos)
    assert features.shape == (3, proxy.WIDTH)
    assert {fact: rows.shape for fact, rows in facts.items()} == {
        fact: (3, len(names)) for fact, names in proxy.FACTS.items()
    }
    for rows in facts.values():
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    alone, _ = proxy.seen(videos[1:2])
    np.testing.assert_array_equal(alone[0], features[1])
    large = np.repeat(np.repeat(videos[0], 2, axis=1), 2, axis=2)
    assert np.abs(proxy.seen([large])[0][0] - features[0]).max() < 0.5 * np.abs(features[0] - features[1]).max()
    with pytest.raises(ValueError, match="got no videos"):
        proxy.seen([])


def test_pixels_become_what_the_network_was_trained_on():
    x = proxy.prepared(torch.tensor([0, 255], dtype=torch.uint8)[None, :, None, None, None].expand(1, 2, 8, 6, 3))
    assert x.shape == (1, 3, 2, 64, 64)
    torch.testing.assert_close(x[0, :, 0], torch.full((3, 64, 64), -1.0))
    torch.testing.assert_close(x[0, :, 1], torch.full((3, 64, 64), 1.0))


def test_noise_moves_real_clips_away_from_real_ones():
    real, other = ([clip(first + seed).video for seed in range(12)] for first in (0, 100))
    rng = np.random.default_rng(0)
    noisy = [np.clip(video + 60 * rng.standard_normal(video.shape), 0, 255).astype(np.uint8) for video in other]
    features = [proxy.seen(videos)[0] for videos in (real, other, noisy)]
    assert frechet_distance(features[0], features[2]) > 2 * frechet_distance(features[0], features[1])


def test_what_was_not_found_to_rank_may_not_be_reported(tmp_path: Path):
    path = tmp_path / "ranks.json"
    assert "never checked" in str(proxy.trusted("fvd-proxy", path))
    ranks = {"fvd-proxy": {"blur": 1.0, "noise": 0.95}, "fid-proxy": {"blur": 1.0, "shuffled": 0.9}}
    path.write_text(json.dumps({"network": proxy.digest(), "spearman": ranks}))
    assert proxy.trusted("fvd-proxy", path) is None
    assert proxy.trusted("fid-proxy", path) == (
        "it does not rank five levels of shuffled (0.90) with a correlation above 0.9"
    )
    assert "never checked" in str(proxy.trusted("is-proxy", path))
    path.write_text(json.dumps({"network": "another", "spearman": ranks}))
    assert "another network" in str(proxy.trusted("fvd-proxy", path))


def test_a_report_refuses_proxies_that_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    videos = [[clip(first + seed).video for seed in range(4)] for first in (0, 10, 20)]
    sets = Sets(real=videos[0], others=videos[1], made=videos[2], texts=["a"] * 4, fps=8.0)
    path = tmp_path / "ranks.json"
    ranks = {"fvd-proxy": {"blur": 1.0}, "kvd-proxy": {"blur": 0.5}}
    path.write_text(json.dumps({"network": proxy.digest(), "spearman": ranks}))
    monkeypatch.setattr(proxy, "RANKS", path)
    scores = {score.name: score for score in measured(sets, {}, np.random.default_rng(0))}
    assert (scores["fvd"].value, scores["kvd-proxy"].value) == (None, None)
    assert "does not rank" in str(scores["kvd-proxy"].because)
    shown = scores["fvd-proxy"]
    assert shown.value is not None
    assert shown.interval is not None
    assert shown.interval[0] <= shown.value <= shown.interval[1]
    assert shown.setting.extractor == proxy.digest()
    features = [proxy.seen(each)[0] for each in videos]
    assert shown.value == pytest.approx(frechet_distance(features[0], features[2]))
    assert shown.floor == pytest.approx(frechet_distance(features[0], features[1]))


def test_the_inception_score_of_videos_has_a_proxy_that_ranks():
    """By the motions that our own network tells apart; it is the one proxy that ranked every corruption."""
    videos = [[clip(first + seed).video for seed in range(4)] for first in (0, 10, 20)]
    sets = Sets(real=videos[0], others=videos[1], made=videos[2], texts=["a"] * 4, fps=8.0)
    scores = {score.name: score for score in measured(sets, {}, np.random.default_rng(0))}
    shown = scores["video-is-proxy"]
    assert (scores["video-is"].value, shown.setting.extractor) == (None, proxy.digest())
    value, floor = (inception_score(proxy.seen(each)[1]["motion"], splits=1)[0] for each in (videos[2], videos[0]))
    assert (shown.value, shown.floor) == (pytest.approx(value), pytest.approx(floor))
    assert 1 < value < len(proxy.FACTS["motion"])


def test_sets_that_cannot_be_compared_are_told():
    videos = [clip(seed).video for seed in range(2)]
    with pytest.raises(ValueError, match=r"got sets of \[1, 2\]"):
        Sets(real=videos, others=videos, made=videos[:1], texts=["a", "b"], fps=8.0)
    with pytest.raises(ValueError, match="one shape"):
        Sets(real=videos, others=videos, made=[video[:8] for video in videos], texts=["a", "b"], fps=8.0)
