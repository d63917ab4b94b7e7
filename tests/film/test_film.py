"""Films from the command line: what is kept, what is made again, and what a kill leaves."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import Run, program
from PIL import Image
from safetensors.torch import load_file

from pixeldance import checkpoint
from pixeldance.codec import from_pixels
from pixeldance.diffusion.noise import generators
from pixeldance.film.plan import plan_film
from pixeldance.film.receipt import model_of
from pixeldance.film.render import film_frames, missing, render_calls
from pixeldance.film.store import Store
from pixeldance.film.story import read_story
from pixeldance.film.workers import makespan
from pixeldance.generate import Sampling
from pixeldance.instruction import Instruction
from pixeldance.pipeline import load
from pixeldance.video import frames_sha256, read_video

STORY = """\
steps: 1
subjects: {hero: a red star}
shots:
  - text: "{hero} moves right"
    frames: 7
    first: a.png
    last: b.png
    tau: 0.5
  - text: "{hero} grows THEN shrinks"
    join: continue
  - text: a blue ring spins
    join: transition
  - text: a green heart
    frames: 3
    join: cut
"""
Kept = dict[str, tuple[float, dict[str, bytes]]]
PAIR = ("one", "two")


@pytest.fixture
def story(here: Path) -> Path:
    """A story of four shots."""
    path = here / "story.yaml"
    path.write_text(STORY)
    return path


def kept(folder: Path) -> Kept:
    """Every stored call: when it was made, and its files."""
    entries = (each for each in folder.iterdir() if each.is_dir())
    return {e.name: (e.stat().st_mtime, {f.name: f.read_bytes() for f in e.iterdir()}) for e in entries}


def test_a_film_its_receipt_and_its_clips(story: Path, tiny_model: Path, run: Run):
    ask = ["film", story, "--model", tiny_model, "-o", "film.mkv"]
    code, plan, err = run(*ask, "--dry-run")
    assert (code, err) == (0, "")
    assert set(Path().iterdir()) == {Path(name) for name in ("a.png", "b.png", "story.yaml")}
    assert [" ".join(line.split()) for line in plan.splitlines()] == [
        "shot frames join clips to make needs text",
        "1 0-6 2 2 a red star moves right",
        "2 7-12 continue 2 2 1, 3 a red star grows THEN a red star shrinks",
        "3 13-15 transition 2 2 a blue ring spins",
        "4 16-18 cut 2 2 a green heart",
        "19 frames of 32x32, 2.375 s at 8 a second; 8 of 8 clips to make, time: unknown for 8 of them, as none like "
        "these was made here before",
    ]
    code, out, err = run(*ask)
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].startswith("film.mkv: 19 frames of 32x32, ")
    frames, fps = read_video("film.mkv")
    receipt = json.loads(Path("film.json").read_text())
    assert (frames.shape, fps) == ((19, 32, 32, 3), 8)
    assert (receipt["frames_sha256"], receipt["frames"]) == (frames_sha256(frames), 19)
    assert receipt["model"] == {"folder": str(tiny_model), "sha256": checkpoint.model_hash(tiny_model), "loras": []}
    assert receipt["made_from"].startswith("subjects:")
    shown = [frame for each in receipt["shown"] for frame in _shown(each)]
    assert (np.stack(shown) == frames).all()
    clips = kept(Path("film.shots"))
    assert len(clips) == 8
    assert all(set(files) == {"latents.safetensors", "frames.mkv", "receipt.json"} for _, files in clips.values())
    readings = [json.loads(files["receipt.json"])["meter"] for _, files in clips.values()]
    assert sum("end_jump" in each for each in readings) == 6  # of clips, not of the two stills
    assert sum("first_psnr" in each for each in readings) == 1

    code, out, _ = run(*ask, "--dry-run")
    assert out.splitlines()[-1].endswith("all 8 clips are there")
    assert run(*ask)[0] == 2  # it is there
    before = Path("film.mkv").read_bytes()
    assert run(*ask, "--force")[0] == 0
    assert Path("film.mkv").read_bytes() == before
    assert kept(Path("film.shots")) == clips


def _shown(each: dict[str, int | str]) -> np.ndarray:
    return read_video(Path("film.shots", str(each["call"]), "frames.mkv"))[0][each["start"] : each["stop"]]


def test_a_clip_starts_on_the_latents_of_the_one_before(story: Path, tiny_model: Path, run: Run):
    assert run("film", story, "--model", tiny_model, "-o", "film.mkv")[0] == 0
    shown = json.loads(Path("film.json").read_text())["shown"]
    pipeline = load(tiny_model)
    two = json.loads(Path("film.shots", shown[2]["call"], "receipt.json").read_text())["made_by"]
    assert two["first"] == {"call": shown[1]["call"], "frame": 3}

    def latents(name: str) -> np.ndarray:
        return load_file(Path("film.shots", name, "latents.safetensors"))["latents"]

    handed, made = latents(shown[1]["call"])[3], latents(shown[2]["call"])
    asked = Instruction(text=two["text"], frames={0: handed}, length=4, size=(32, 32), fps=8.0)
    sampling = Sampling(steps=two["steps"], guidance=two["guidance"], tau=two["tau"])
    assert (pipeline.latents(asked, generators([two["seed"]])[0], sampling) == made).all()
    decoded = pipeline.parts.codec.encode(from_pixels(pipeline.decode(handed[None, None])[0])[None])[0, 0]
    assert not (decoded == handed).all()  # frames would have been something else


def test_a_change_makes_again_what_depends_on_it_and_leaves_every_other_byte(story: Path, tiny_model: Path, run: Run):
    ask = ["film", story, "--model", tiny_model, "-o", "film.mkv"]
    assert run(*ask)[0] == 0
    old, frames = kept(Path("film.shots")), read_video("film.mkv")[0]
    story.write_text(STORY.replace("a blue ring spins", "a pink ring spins"))
    out = run(*ask, "--force", "--dry-run")[1]
    assert "3 of 8 clips to make, time: about " in out  # the ring's still, the way to it, and its clip
    assert run(*ask, "--force")[0] == 0
    new, changed = kept(Path("film.shots")), read_video("film.mkv")[0]
    assert {name: new[name] for name in old} == old  # also when they were made
    assert len(new) == len(old) + 3
    same = (changed == frames).all(axis=(1, 2, 3))
    assert same.tolist() == [True] * 10 + [False] * 6 + [True] * 3


def test_any_order_gives_the_same_bytes(story: Path, tiny_model: Path):
    pipeline = load(tiny_model)
    plan = plan_film(read_story(story), pipeline.system, model_of(tiny_model, []))
    orders = list(plan.calls), sorted(plan.calls, key=lambda name: (_depth(plan.calls, name), name))
    assert orders[0] != orders[1]
    films = []
    for number, names in enumerate(orders):
        store = Store(folder=Path(f"store-{number}"))
        assert set(missing(plan, store)) == set(names)
        render_calls(plan, names, store, pipeline)
        films.append(frames_sha256(film_frames(plan, store)))
    assert films[0] == films[1]


def test_several_processes_make_the_same_bytes_and_a_film_is_verified_by_making_it_again(
    story: Path, tiny_model: Path, run: Run
):
    ask = ["film", story, "--model", tiny_model]
    assert run(*ask, "-o", "one.mkv")[0] == 0
    with program(*ask, "-o", "two.mkv", "--workers", 2) as made:
        assert "8 of 8 clips to make" in made.communicate()[0]
    stored = [
        {name: files["latents.safetensors"] for name, (_, files) in kept(Path(f"{n}.shots")).items()} for n in PAIR
    ]
    assert stored[0] == stored[1]
    assert Path("one.mkv").read_bytes() == Path("two.mkv").read_bytes()
    for each in ("a.png", "b.png", "story.yaml"):
        Path(each).unlink()  # the receipt is complete
    code, out, err = run("verify", "two.json")
    assert (code, err) == (0, "")
    assert "two.mkv decodes to the same frames" in out

    record = json.loads(Path("two.json").read_text())
    for field, value, says in (
        ("shown", record["shown"][1:], "the clips that it names are not those of its story"),
        ("pictures", [], "got the picture 'a.png'; these came with the story: none"),
    ):
        Path("two.json").write_text(json.dumps(record | {field: value}))
        code, out, err = run("verify", "two.json")
        assert code in (1, 2)
        assert says in out + err


def test_a_worker_that_cannot_render_ends_in_a_message(story: Path, tiny_model: Path, run: Run):
    folder = shutil.copytree(tiny_model, Path("broken"))
    ask = ["film", story, "--model", folder, "-o", "film.mkv", "--workers", 2]
    with program(*ask) as made:
        while not Path("film.shots").is_dir():
            assert made.poll() is None, made.communicate()
            time.sleep(0.01)
        (folder / "net.safetensors").write_bytes(b"")  # before the workers load it
        _, err = made.communicate()
    assert (made.returncode, "net.safetensors" in err, "Traceback" in err) == (2, True, False)


def test_the_time_of_several_processes_is_that_of_the_longest_way(story: Path, tiny_model: Path):
    plan = plan_film(read_story(story), load(tiny_model).system, model_of(tiny_model, []))
    each = dict.fromkeys(plan.calls, 1.0)
    assert makespan(plan, each, 1) == len(each) == 8
    assert makespan(plan, each, 99) == max(_depth(plan.calls, name) for name in plan.calls) == 4
    assert makespan(plan, {}, 2) == 0


def _depth(calls: dict, name: str) -> int:
    return 1 + max((_depth(calls, need) for need in calls[name].needs()), default=0)


def test_a_damaged_clip_is_made_again(story: Path, tiny_model: Path, run: Run):
    ask = ["film", story, "--model", tiny_model, "-o", "film.mkv", "--force"]
    assert run(*ask)[0] == 0
    before = Path("film.mkv").read_bytes()
    shown = json.loads(Path("film.json").read_text())["shown"]
    for each, file in zip(shown, ["latents.safetensors", "frames.mkv", "receipt.json"], strict=False):
        damaged = Path("film.shots", each["call"], file)
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert "3 of 8 clips to make" in run(*ask, "--dry-run")[1]
    assert run(*ask)[0] == 0
    assert Path("film.mkv").read_bytes() == before
    assert "all 8 clips are there" in run(*ask, "--dry-run")[1]


def test_a_kill_loses_only_the_clip_in_hand(story: Path, tiny_model: Path, run: Run):
    story.write_text(STORY.replace("frames: 7", "frames: 31"))
    ask = ["film", story, "--model", tiny_model, "-o", "film.mkv"]
    folder = Path("film.shots")
    with program(*ask) as killed:
        while not (folder.is_dir() and len(kept_names(folder)) >= 3):
            assert killed.poll() is None, killed.communicate()
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not Path("film.mkv").exists()
    store, plan = Store(folder=folder), plan_film(read_story(story), load(tiny_model).system, model_of(tiny_model, []))
    done = kept_names(folder)
    assert 3 <= len(done) < len(plan.calls)
    assert done == set(list(plan.calls)[: len(done)])  # one after the other, and each of them whole
    assert all(store.has(name) for name in done)
    old = kept(folder)
    (folder / ".pixeldance-0123456789ab.part").mkdir()  # as a kill in the middle of writing leaves it
    assert run(*ask)[0] == 0
    new = kept(folder)
    assert {name: new[name] for name in done} == {name: old[name] for name in done}
    assert set(new) == set(plan.calls)


def kept_names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")}


def test_two_at_once_are_refused(story: Path, tiny_model: Path, run: Run):
    with Store(folder=Path("film.shots")).locked():
        code, _, err = run("film", story, "--model", tiny_model, "-o", "film.mkv")
    assert code == 2
    assert "is being written by another process" in err


def test_times_are_those_of_earlier_clips(story: Path, tiny_model: Path, run: Run):
    ask = ["film", story, "--model", tiny_model, "-o", "film.mkv"]
    assert run(*ask)[0] == 0
    for receipt in Path("film.shots").glob("*/receipt.json"):
        record = json.loads(receipt.read_text())
        record["seconds"] = 2.0 if record["made_by"]["length"] == 4 else 0.5
        receipt.write_text(json.dumps(record))
    story.write_text(STORY.replace("a blue ring spins", "a pink ring spins"))
    assert "3 of 8 clips to make, time: about 4.5 s" in run(*ask, "--dry-run")[1]
    story.write_text(STORY.replace("steps: 1", "steps: 2"))
    assert "time: unknown for 8 of them" in run(*ask, "--dry-run")[1]


def test_a_prompt_is_shown_as_the_story_that_it_is_taken_for(here: Path, tiny_model: Path, run: Run):
    code, out, err = run(
        "film", "a red star grows; cut to: it spins", "--model", tiny_model, "-o", "f.mp4", "--dry-run"
    )
    assert (code, err) == (0, "")
    assert out.startswith(
        "subjects:\n  subject: a red star\nshots:\n- text: '{subject} grows'\n- text: '{subject} spins'\n"
    )
    assert "\n2     4-7     cut" in out


def test_words_that_the_model_does_not_know_are_told(here: Path, tiny_model: Path, run: Run):
    code, _, err = run("film", "a gryphon moves; cut to: it circles", "--model", tiny_model, "-o", "f.mkv")
    assert (code, err) == (0, "Warning: this model does not know these words and leaves them out: gryphon\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.yaml"], "none.yaml, which is no file"),
        (["a.png.yaml"], "a.png.yaml: 'utf-8' codec"),
        (["story.yaml", "-o", "x.txt"], "choose .mp4"),
        (["story.yaml", "-o", "none/x.mp4"], "the folder none does not exist"),
        (["story.yaml", "--model", "none"], "none: no such folder"),
        (["story.yaml", "--lora", "none"], "none/adapter_config.json: got no such file"),
        (["a star; cut to:"], "the prompt, shot 2"),
    ],
)
def test_bad_input_ends_in_a_message(story: Path, tiny_model: Path, run: Run, arguments: list[str], says: str):
    Path("a.png.yaml").write_bytes(Path("a.png").read_bytes())
    before = set(Path().iterdir())
    options = [] if "--model" in arguments else ["--model", tiny_model]
    code, _, err = run("film", *arguments, *options, *([] if "-o" in arguments else ["-o", "film.mkv"]))
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert set(Path().iterdir()) == before


def test_pictures_lie_beside_the_story(story: Path, tiny_model: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    (story.parent / "elsewhere").mkdir()
    monkeypatch.chdir(story.parent / "elsewhere")
    assert run("film", "../story.yaml", "--model", tiny_model, "-o", "film.mkv")[0] == 0
    with Image.open("../a.png") as image:
        wanted = np.asarray(image)
    plan = plan_film(read_story(Path("../story.yaml")), load(tiny_model).system, model_of(tiny_model, []))
    first = next(iter(plan.calls.values())).first
    assert (first.pixels == wanted).all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(here: Path, tiny_model: Path):
    shot = 'shots: [{{text: "a red star moves right", frames: {frames}, first: a.png}}]\n'
    code = "import resource, sys; from pixeldance.cli import app\n"
    code += "try: app(sys.argv[1:])\n"
    code += "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for frames in (31, 208):  # 10 and 69 segments of 3 steps
        Path("story.yaml").write_text(shot.format(frames=frames))
        ask = [sys.executable, "-c", code, "film", "story.yaml", "--model", str(tiny_model), "-o", f"{frames}.mkv"]
        out = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        assert f"{frames} frames of 32x32" in out
        peaks.append(int(out.split()[-1]))
    assert peaks[1] < 1.03 * peaks[0]
