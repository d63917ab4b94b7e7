"""Edited ends: exact colours where masks are soft, patches wholly inside, and real programs, good and bad."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixeldance.data.toybox import ONE_OBJECT, clip_and_scene, render
from pixeldance.data.toybox.render import coverage
from pixeldance.data.toybox.world import COLOURS
from pixeldance.edit.ends import by_command, pasted, read_mask, read_patch, recoloured

GREY = np.full((32, 48, 3), 100, np.uint8)


def editor(folder: Path, body: str) -> str:
    """A command: a Python file with `image` read from its first argument, and `path` its second."""
    file = folder / "an editor.py"
    file.write_text(
        f"import sys, time\nfrom PIL import Image\nimage, path = Image.open(sys.argv[1]), sys.argv[2]\n{body}\n"
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}"


def test_a_soft_mask_recolours_exactly():
    """As if the scene had been drawn in the other colour, edges included."""
    from dataclasses import replace

    for seed in range(40):
        _, scene = clip_and_scene(seed, world=ONE_OBJECT)
        if scene.toys[0].motion == "still" and scene.texture == "plain":
            break
    toy = scene.toys[0]
    other = replace(scene, toys=(replace(toy, colour="green" if toy.colour != "green" else "red"),))
    (picture, _), (wanted, _) = (render(each, (64, 64), 1) for each in (scene, other))
    across = (np.arange(64) + 0.5 - 32 - 64 * toy.start[0]).astype(np.float32)[None]
    down = (np.arange(64) + 0.5 - 32 - 64 * toy.start[1]).astype(np.float32)[:, None]
    mask = np.rint(coverage(toy.shape, across, down, np.full(1, 64 * toy.radius, np.float32)) * 255).astype(np.uint8)
    made = recoloured(picture[0], mask, COLOURS[other.toys[0].colour])
    assert np.abs(made.astype(int) - wanted[0]).max() <= 2


def test_shades_are_kept_and_the_rest_is_untouched():
    picture, mask = GREY.copy(), np.zeros((32, 48), np.uint8)
    picture[4:8, 4:12] = np.array([[80, 90, 100, 110, 120, 130, 140, 150]])[..., None]
    mask[4:8, 4:12] = 255
    made = recoloured(picture, mask, (200, 60, 115))
    assert (made[mask == 0] == picture[mask == 0]).all()
    assert (np.diff(made[4, 4:12, 2].astype(int)) == 10).all()
    assert made[4:8, 4:12].mean(axis=(0, 1)).tolist() == [200, 60, 115]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 8), np.uint8), "got a mask of 8x8 for a picture of 48x32"),
        (np.full((32, 48), 90, np.uint8), "got a mask that is dark all over"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        recoloured(GREY, mask, (1, 2, 3))


def test_masks_are_read_from_alpha_and_from_colours(tmp_path: Path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, :, 3] = 255
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[1, 0] = (255, 255, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert read_mask(str(tmp_path / "m.png")).tolist() == [[255, 0, 0], [0, 0, 0]]
    assert read_mask((tmp_path / "m.png").read_bytes()).tolist() == [[255, 0, 0], [0, 0, 0]]


def test_a_patch_is_pasted_with_its_transparency(tmp_path: Path):
    patch = np.zeros((4, 6, 4), np.uint8)
    patch[:, :3] = (255, 0, 0, 255)
    Image.fromarray(patch).save(tmp_path / "p.png")
    made = pasted(GREY, read_patch(str(tmp_path / "p.png")), 42, 28)
    assert (made[28:, 42:45] == (255, 0, 0)).all()
    assert (made[28:, 45:] == 100).all()
    assert (made[:28] == 100).all()
    for x, y in ((43, 28), (42, 29)):
        with pytest.raises(ValueError, match=rf"got a patch of 6x4 at {x},{y} of a picture of 48x32; .* at most 42,28"):
            pasted(GREY, read_patch(str(tmp_path / "p.png")), x, y)


def test_a_patch_must_be_there(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no such file"):
        read_patch(str(tmp_path / "none.png"))
    Image.fromarray(GREY).save(tmp_path / "p.png")
    with pytest.raises(ValueError, match=r"cannot read the patch of [0-9]+ bytes.*export it again"):
        read_patch((tmp_path / "p.png").read_bytes()[:-30])


def test_a_program_edits(tmp_path: Path):
    command = editor(tmp_path, "image.point(lambda level: 255 - level).save(path)")
    assert (by_command(GREY, command, seconds=60) == 155).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('no brush')", "ended with code 1: no brush"),
        ("sys.exit(3)", "ended with code 3: it said nothing"),
        ("pass", "wrote nothing to its second path"),
        ("image.resize((8, 8)).save(path)", "made 8x8 of 48x32; wanted the same size"),
        ("open(path, 'w').write('text')", "want PNG or JPEG or WEBP"),
        ("time.sleep(60)", "took longer than 1.5 s and was ended"),
    ],
)
def test_a_program_that_misbehaves_is_named(tmp_path: Path, body: str, message: str):
    with pytest.raises(ValueError, match=message):
        by_command(GREY, editor(tmp_path, body), seconds=1.5 if "sleep" in body else 60)


@pytest.mark.parametrize(
    ("command", "message"),
    [("no-such-editor", "could not be started"), ("'", "cannot be split into words"), (" ", "got no editor")],
)
def test_commands_that_are_none(command: str, message: str):
    with pytest.raises(ValueError, match=message):
        by_command(GREY, command, seconds=60)


def test_no_shell_reads_the_command(tmp_path: Path):
    planted = tmp_path / "planted"
    with pytest.raises(ValueError, match="wrote nothing to its second path"):
        by_command(GREY, f"true; touch {planted}".replace(";", " ;"), seconds=60)
    assert not planted.exists()
