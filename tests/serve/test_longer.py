"""Extensions and edits by OpenAI's own client, from files and from finished videos; LoRAs; films by the API alone."""

import base64
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import torch
from openai import OpenAI
from PIL import Image
from serving import Bench, Server, bench, data_url, png

from pixeldance import adapter
from pixeldance.edit.ends import pasted, recoloured
from pixeldance.nets.lora import LoRA, attach
from pixeldance.pipeline import load
from pixeldance.serve.places import RECEIPT, VIDEO
from pixeldance.serve.tasks import LongTask, read_task
from pixeldance.video import read_video, write_video

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
PROMPT = "a red circle moves right"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench beside a folder with a LoRA of its model."""
    made = bench(tmp_path_factory.mktemp("longer"))
    pipeline = load(made.places.folder.parent / "model")
    weights = attach(pipeline.parts, LoRA(rank=2, layers=("net.*attention*",)), torch.Generator().manual_seed(0))
    for weight in weights.values():
        torch.nn.init.normal_(weight, 0.0, 0.5, torch.Generator().manual_seed(1))
    (made.places.folder.parent / "loras").mkdir()
    adapter.save(made.places.folder.parent / "loras" / "style", pipeline.parts, base=made.pipeline.model_hash)
    return made


@pytest.fixture(scope="module")
def server(made: Bench) -> Iterator[Server]:
    folder = made.places.folder.parent
    server = Server.start(made.places.folder, folder / "model", "--loras", folder / "loras")
    yield server
    assert server.stop() == (128 + signal.SIGTERM, ""), "something was complained of"


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of 7 smooth frames that become brighter."""
    file = tmp_path_factory.mktemp("clip") / "clip.mkv"
    ramp = np.linspace(0, 160, 32)[None, :, None, None] + np.linspace(0, 90, 7)[:, None, None, None]
    write_video(file, np.broadcast_to(ramp, (7, 32, 32, 3)).astype(np.uint8), fps=8)
    return file.read_bytes()


def frames(client: OpenAI, id: str, folder: Path) -> np.ndarray:
    client.videos.download_content(id).write_to_file(folder / "got.mp4")
    return read_video(folder / "got.mp4")[0]


def url(pixels: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def far(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_file_is_extended(client: OpenAI, clip: bytes, tmp_path: Path) -> None:
    more: Any = {"seed": 3, "num_inference_steps": 2, "last_frame": data_url(5)}
    asked = client.videos.extend(
        prompt=PROMPT, seconds="0.75", video=("c.mkv", clip, "video/x-matroska"), extra_body=more
    )  # type: ignore[arg-type]
    video = client.videos.poll(asked.id)
    assert (video.status, video.seconds) == ("completed", f"{13 / 8:g}")
    got = frames(client, video.id, tmp_path)
    (tmp_path / "clip.mkv").write_bytes(clip)
    given = read_video(tmp_path / "clip.mkv")[0]
    assert got.shape == (13, 32, 32, 3)
    assert far(got[:7], given) < 12 < far(got[7:], given[1:])


def test_a_finished_video_is_extended_and_edited(client: OpenAI, tmp_path: Path, server: Server, made: Bench) -> None:
    """By its id, for which the client has a type and no way to send it; a form or JSON has."""

    def ask(path: str, **fields: Any) -> Any:
        return httpx.post(f"{server.url}/v1/videos/{path}", timeout=60, **fields).json()

    video = client.videos.create_and_poll(prompt=PROMPT, input_reference=("a.png", png(), "image/png"))
    form = {"prompt": (None, PROMPT), "seconds": (None, "0.375"), "video[id]": (None, video.id)}
    longer = ask("extensions", files=form)
    edited = ask("edits", json={"prompt": "a blue star grows", "video": {"id": video.id}, "seed": 1})
    assert [client.videos.poll(each["id"]).status for each in (longer, edited)] == ["completed"] * 2
    assert len(frames(client, longer["id"], tmp_path)) == 7
    own, new = frames(client, video.id, tmp_path), frames(client, edited["id"], tmp_path)
    assert new.shape == own.shape
    text = made.jobs.request(edited["id"].removeprefix("video_"))
    assert text is not None
    task = read_task(text)
    assert isinstance(task, LongTask)
    receipt = made.places.folder / "results" / edited["id"].removeprefix("video_") / RECEIPT
    assert json.loads(json.loads(receipt.read_bytes())["made_from"])["task"] == "long", "`verify` knows it by that"
    ends = (task.request.first, task.request.last)
    assert [end and far(end.pixels(), frame) for end, frame in zip(ends, own[[0, -1]], strict=True)] == [0, 0]
    assert client.videos.retrieve(edited["id"]).prompt == "a blue star grows"
    assert httpx.get(f"{server.url}/v1/videos/{edited['id']}/meter").json()["readings"] == []
    assert (
        "there is no such video"
        in ask("edits", json={"prompt": PROMPT, "video": {"id": "video_x"}})["error"]["message"]
    )
    assert "give one video" in ask("edits", json={"prompt": PROMPT})["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"video": ("c.mkv", b"#EXTM3U\nfile:///etc/passwd", "video/mp4")}, "neither MP4 nor Matroska"),
        ({"video": ("c.mp4", b"\0\0\0\x18ftypisom" + bytes(40), "video/mp4")}, "cannot|damaged|no video|Invalid"),
        ({"seconds": "0.3"}, "got 0.3 seconds, 2.4 frames"),
        ({"seconds": "3600"}, "2000 at most"),
        ({"extra_body": {"input_reference": data_url()}}, "input_reference"),
        ({"extra_body": {"lora": "nobody"}}, "this server has: style"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_extended_says_why(client: OpenAI, clip: bytes, fields: Any, message: str) -> None:
    asked = {"prompt": PROMPT, "seconds": "0.5", "video": ("c.mkv", clip, "video/x-matroska")} | fields
    with pytest.raises(openai.BadRequestError, match=message):
        client.videos.extend(**asked)


def test_an_edit_recolours_through_masks_or_pastes(client: OpenAI, clip: bytes, tmp_path: Path, made: Bench) -> None:
    """The ends that are asked of the model are those of `pixeldance edit`, from files and from data URLs alike."""
    (tmp_path / "clip.mkv").write_bytes(clip)
    own = read_video(tmp_path / "clip.mkv")[0][[0, -1]]
    soft = np.zeros((32, 32), np.uint8)
    soft[4:12, 4:12], soft[4:12, 12] = 255, 128
    moved = np.roll(soft, 9, axis=1)
    patch = np.zeros((5, 6, 4), np.uint8)
    patch[:, :3] = (255, 0, 0, 255)

    def ends(**change: Any) -> list[Any]:
        asked = client.videos.edit(prompt=PROMPT, video=("c.mkv", clip, "video/x-matroska"), extra_body=change)  # type: ignore[call-arg]
        text = made.jobs.request(asked.id.removeprefix("video_"))
        assert text is not None
        task = read_task(text)
        assert isinstance(task, LongTask)
        made.jobs.delete(asked.id.removeprefix("video_"))
        return [end and end.pixels() for end in (task.request.first, task.request.last)]

    masks = {"mask": url(soft), "last_mask": url(moved), "colour": "#ff8800"}
    wanted = [recoloured(end, mask, (255, 136, 0)) for end, mask in zip(own, (soft, moved), strict=True)]
    assert np.array_equal(ends(**masks), wanted)
    stuck = Image.fromarray(patch)
    assert np.array_equal(ends(paste=url(patch), at="3,4"), [pasted(end, stuck, 3, 4) for end in own])
    wanted = [pasted(own[0], stuck, 3, 4), pasted(own[1], stuck, 26, 27)]
    assert np.array_equal(ends(paste=url(patch), at="3,4", last_at="26,27"), wanted)
    form = {
        name: (f"{name}.png", base64.b64decode(each.partition(",")[2]))
        for name, each in masks.items()
        if "mask" in name
    }
    files: Any = {"video": ("c.mkv", clip), **form}
    fields = {"prompt": PROMPT, "colour": "#ff8800", "num_inference_steps": "2"}
    answer = httpx.post(f"{client.base_url}videos/edits", data=fields, files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    assert client.videos.poll(answer.json()["id"]).status == "completed"


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"colour": "red"}, "colour", "got colour; wanted one way of editing the ends"),
        (
            {"mask": data_url(), "last_mask": data_url(), "colour": "red", "at": "1,1"},
            "mask",
            "got mask, last_mask, colour",
        ),
        (
            {"mask": data_url(), "last_mask": data_url(), "colour": "reddish"},
            "colour",
            "got 'reddish'; wanted a colour",
        ),
        ({"mask": data_url(), "last_mask": "data:image/png;base64,AAAA", "colour": "red"}, "last_mask", "cannot read"),
        ({"paste": data_url(), "at": "1,1"}, "at", "got a patch of 32x32 at 1,1 of a picture of 32x32"),
        ({"paste": data_url(), "at": "0,0", "last_at": "1,0"}, "last_at", "got a patch of 32x32 at 1,0"),
        ({"paste": data_url(), "at": "-1,0"}, "at", "String should match pattern"),
        ({"paste": "http://127.0.0.1/a.png", "at": "0,0"}, "paste", "fetches no URLs"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_change_that_is_none_says_why(client: OpenAI, clip: bytes, change: Any, param: str, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as refused:
        client.videos.edit(prompt=PROMPT, video=("c.mkv", clip, "video/x-matroska"), extra_body=change)  # type: ignore[call-arg]
    assert refused.value.param == param


def test_a_video_of_another_size_is_refused(client: OpenAI, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((4, 48, 32, 3), np.uint8), fps=8)
    with pytest.raises(openai.BadRequestError, match=r"got a size of 32x48.*try 32x32"):
        client.videos.edit(prompt=PROMPT, video=tmp_path / "a.mp4")


def test_loras_are_worn_for_one_video(client: OpenAI, made: Bench) -> None:
    def video(**more: Any) -> bytes:
        asked: Any = {"seed": 7, "num_inference_steps": 3} | more
        made_of = client.videos.create_and_poll(prompt=PROMPT, extra_body=asked)
        assert made_of.status == "completed", made_of.error
        return client.videos.download_content(made_of.id).read()

    plain, worn, half, after = video(), video(lora="style"), video(lora="style:0.5"), video()
    assert plain == after
    assert len({plain, worn, half}) == 3
    receipts = [json.loads(path.read_text()) for path in made.places.folder.glob("results/*/receipt.json")]
    named = [lora["folder"] for each in receipts for lora in each["model"]["loras"]]
    assert named == ["style", "style"], "a server's folders are its own"
    with pytest.raises(openai.BadRequestError, match=r"LoRA '../model'; this server has: style"):
        client.videos.create(prompt=PROMPT, extra_body={"lora": "../model"})
    with pytest.raises(openai.BadRequestError, match="got the scale 'nan'"):
        client.videos.create(prompt=PROMPT, extra_body={"lora": "style:nan"})


def test_a_film_and_what_a_change_costs(server: Server, made: Bench) -> None:
    def ask(path: str, **fields: Any) -> Any:
        return httpx.post(f"{server.url}/v1/films{path}", json=fields, timeout=60).json()

    shots = [{"text": PROMPT, "first": "a.png"}, {"text": "a blue star grows"}]
    pictures = {"a.png": data_url()}
    plan = ask("/plan", story={"shots": shots}, pictures=pictures)
    assert [(shot["clips"], shot["to_make"]) for shot in plan["shots"]] == [(1, 1), (2, 2)]
    film = ask("", story={"shots": shots}, pictures=pictures)
    while film["status"] in ("queued", "in_progress"):
        film = httpx.get(f"{server.url}/v1/films/{film['id']}").json()
    assert (film["status"], film["ready"], film["frames"]) == ("completed", [1, 2], 8)
    job = made.jobs.get(film["id"].removeprefix("film_"))
    assert job is not None
    assert read_video(made.places.result(job) / VIDEO)[0].shape == (8, 32, 32, 3)
    shots[1]["text"] = "a blue star shrinks"
    assert ask("/plan", story={"shots": shots}, pictures=pictures)["to_make"] == 2
    for wrong, message in (
        (
            {"shots": [{"text": PROMPT, "first": "/etc/passwd"}]},
            "shot 1, first: got the picture '/etc/passwd'; these came",
        ),
        ({"shots": [{"text": PROMPT, "seconds": 3600.0}] * 9}, "make it in parts"),
        ({"shots": [{"text": "{hero} moves"}]}, "got {hero}"),
    ):
        assert message in ask("", story=wrong, pictures=pictures)["error"]["message"]
    told = httpx.get(f"{server.url}/v1/films/{film['id']}/story").json()
    assert (told["story"]["shots"][0]["text"], told["pictures"]) == (PROMPT, pictures)
    video = film["id"].replace("film_", "video_")
    assert httpx.get(f"{server.url}/v1/videos/{video}").status_code == 404, "a film is no video of the dialects"
