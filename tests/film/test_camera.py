"""Camera words: as an option and in a text, and which of them a model was shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import Run
from tiny import random_parts

from pixeldance import checkpoint
from pixeldance.data.toybox import ONE_OBJECT, WORLD, World
from pixeldance.film.camera import CAMERA, recorded, said, taught, warning, words_in

STAR = "a red star spins"


def model(folder: Path, world: World) -> Path:
    checkpoint.save(folder, random_parts(), about={"world": recorded(world)})
    return folder


def test_every_word_is_found_in_the_text_that_says_it():
    for word in CAMERA:
        assert words_in(said(STAR, word)) == [word]
    assert words_in(f"Camera pan left: {STAR}. Static camera") == ["pan left", "static"]
    assert words_in("the star circles around and rotates") == []
    with pytest.raises(ValueError, match=r"got the camera 'dolly'; wanted one of pan left, .*static"):
        said(STAR, "dolly")


def test_a_checkpoint_says_which_moves_it_was_shown(tmp_path: Path, tiny_model: Path):
    still, all_of_it = model(tmp_path / "still", ONE_OBJECT), model(tmp_path / "all", WORLD)
    assert taught(still) == {"static"}
    assert taught(all_of_it) == {"static", *WORLD.cameras}
    assert taught(model(tmp_path / "pans", replace(WORLD, cameras=("pan left",)))) == {"static", "pan left"}
    assert taught(tiny_model) is None  # it does not say, and nothing is said of it
    texts = [said(STAR, word) for word in ("zoom in", "static", "rotate", "zoom in")]
    assert warning(texts, tiny_model) is None
    assert warning(texts[1:2], still) is None
    assert warning(texts, still) == (
        "this model was trained without these camera moves and will not make them: zoom in, rotate; it has static"
    )


def test_the_option_is_words_of_the_text(here: Path, run: Run):
    ask = ["--model", model(here / "model", ONE_OBJECT), "--steps", 1, "--seed", 1]
    made = []
    for text, option in ((STAR, ["--camera", "pan left"]), (said(STAR, "pan left"), [])):
        code, _, err = run("generate", text, *ask, *option, "-o", "out.mkv", "--force")
        assert (code, err.count("will not make them: pan left; it has static")) == (0, 1)
        made.append({key: json.loads(Path("out.json").read_text())[key] for key in ("request", "frames_sha256")})
    assert made[0] == made[1]
    assert made[0]["request"]["prompt"] == "a red star spins, the camera pans left"
    code, _, err = run("generate", STAR, *ask, "--camera", "dolly", "-o", "new.mkv")
    assert (code, "got the camera 'dolly'" in err) == (2, True)


def test_a_film_has_it_in_the_shots_that_say_none(here: Path, tiny_model: Path, run: Run):
    Path("story.yaml").write_text("shots: [{text: a star spins, camera: zoom in}, {text: a ring grows}]\n")
    out = run("film", "story.yaml", "--camera", "static", "--model", tiny_model, "-o", "f.mkv", "--dry-run")[1]
    assert "a star spins, the camera zooms in\n" in out
    assert "a ring grows, the camera is still\n" in out
    assert run("film", "story.yaml", "--camera", "up", "--model", tiny_model, "-o", "f.mkv")[0] == 2
