"""The vendors' own, unmodified clients against a real server."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from serving import Server, bench, data_url, png
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime._exceptions import ArkBadRequestError, ArkNotFoundError

from pixeldance.receipt import Receipt, render
from pixeldance.video import frames_sha256

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
PROMPT = "a red circle moves right"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    bench(folder)
    server = Server.start(folder / "store", folder / "model")
    yield server
    assert server.stop() == (128 + signal.SIGTERM, ""), "something was complained of"


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def ark(server: Server) -> Any:
    return Ark(base_url=f"{server.url}/api/v3", api_key="any", max_retries=0).content_generation.tasks


def ended(ark: Any, id: str) -> Any:
    while (task := ark.get(task_id=id)).status in ("queued", "running"):
        time.sleep(0.1)
    return task


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def image(role: str | None, seed: int = 0) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(seed)}} | ({} if role is None else {"role": role})


def test_openai_from_prompt_to_file(client: OpenAI, folder: Path, server: Server) -> None:
    model = client.models.list().data[0].id
    assert model == "model"
    more = {"seed": 7, "last_frame": data_url(1), "tau": 0.5, "num_inference_steps": 2, "guidance_scale": 1.5}
    video = client.videos.create_and_poll(
        prompt=PROMPT, model=model, input_reference=("first.png", png(0), "image/png"), extra_body=more
    )
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert (video.seconds, video.size, video.prompt, video.object) == ("0.5", "32x32", PROMPT, "video")
    assert video.expires_at is not None
    assert video.completed_at is not None
    assert video.expires_at - video.completed_at == pytest.approx(24 * 3600, abs=2)
    kinds = {"video": b"ftyp", "thumbnail": b"WEBP", "spritesheet": b"\xff\xd8\xff"}
    for variant, magic in kinds.items():
        assert magic in client.videos.download_content(video.id, variant=variant).read()[:12]  # type: ignore[arg-type]
    receipt_file = folder / "store" / "results" / video.id.removeprefix("video_") / "receipt.json"
    receipt = Receipt.model_validate_json(receipt_file.read_bytes())
    asked = receipt.request
    assert (asked.tau, asked.steps, asked.guidance, asked.seed, asked.fps) == (0.5, 2, 1.5, 7, 8.0)
    assert str(folder) not in receipt_file.read_text(), "a server's folders are its own"
    assert receipt.frames_sha256 == frames_sha256(render(bench_pipeline(folder), asked))
    remixed = client.videos.remix(video.id, prompt="a blue star moves left")
    assert remixed.remixed_from_video_id == video.id
    client.videos.poll(remixed.id)
    other = folder / "store" / "results" / remixed.id.removeprefix("video_") / "receipt.json"
    again = Receipt.model_validate_json(other.read_bytes()).request
    assert again.model_copy(update={"prompt": PROMPT, "first": asked.first, "last": asked.last}) == asked
    assert again.first is not None
    assert asked.first is not None
    assert again.first.png == asked.first.png


def bench_pipeline(folder: Path) -> Any:
    from pixeldance.pipeline import load

    return load(folder / "model")


def test_openai_looks_again_when_it_is_told_to(client: OpenAI, server: Server) -> None:
    looks: list[tuple[float, int]] = []

    def look(answer: Any) -> None:
        if answer.request.method == "GET":
            looks.append((time.monotonic(), int(answer.headers.get("openai-poll-after-ms", 0))))

    hooked = openai.DefaultHttpxClient(event_hooks={"response": [look]})
    patient = OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0, http_client=hooked)
    long = {"num_inference_steps": 1000}
    ahead = [client.videos.create(prompt=PROMPT, extra_body=long).id]
    while (left := getattr(client.videos.retrieve(ahead[0]), "seconds_left")) is None:  # noqa: B009 (a field of ours)
        time.sleep(0.1)
    while len(ahead) * left < 16:  # two seconds and more of pause, where the client's own choice is one
        ahead.append(client.videos.create(prompt=PROMPT, extra_body=long).id)
    time.sleep(1.1)  # the server looks at its queue once a second
    gone = threading.Timer(0.3, lambda: [client.videos.delete(id) for id in ahead])
    gone.start()
    assert patient.videos.create_and_poll(prompt=PROMPT).status == "completed"
    gone.join()
    (first, pause), (second, _), *_ = looks
    assert 1200 < pause <= 10_000
    assert second - first >= pause / 1000
    assert looks[-1][1] == 0, "who is there need not come again"


def test_openai_lists_and_deletes(client: OpenAI) -> None:
    ids = [client.videos.create(prompt=PROMPT).id for _ in range(3)]
    page = client.videos.list(limit=2)
    assert [video.id for video in page.data] == [ids[2], ids[1]]
    assert page.has_more
    assert page.get_next_page().data[0].id == ids[0]
    rising = [video.id for video in client.videos.list(order="asc", limit=100).data]
    assert rising[-3:] == ids
    for id in ids:
        assert client.videos.delete(id).deleted
        with pytest.raises(openai.NotFoundError, match="there is no such video"):
            client.videos.retrieve(id)


@pytest.mark.parametrize(
    ("asked", "message", "param"),
    [
        ({"size": "1280x720"}, "this model makes 32x32 or 256x256 or 2048x2048: try", None),
        ({"size": "big"}, "wanted WIDTHxHEIGHT", "size"),
        ({"seconds": "4"}, r"makes 0.5 or 0.125: try 0.5 \(4 frames\)", "seconds"),
        ({"model": "sora-2"}, "got the model 'sora-2'; this server has 'model'", "model"),
        ({"prompt": " "}, "got an empty prompt", None),
        ({"extra_body": {"seed": "seven"}}, "seed: Input should be a valid integer", "seed"),
        ({"extra_body": {"seed": 2**80}}, "seed", "seed"),
        ({"extra_body": {"num_frames": 10**9}}, "num_frames", "num_frames"),
        ({"extra_body": {"num_inference_steps": 0}}, "num_inference_steps", "num_inference_steps"),
        ({"extra_body": {"guidance_scale": "nan"}}, "guidance_scale", "guidance_scale"),
        ({"extra_body": {"negative_prompt": "ugly"}}, "negative_prompt", "negative_prompt"),
        ({"extra_body": {"colour": "red"}}, "colour: Extra inputs", "colour"),
        ({"extra_body": {"last_frame": "https://example.com/a.png"}}, "fetches no URLs", "last_frame"),
        ({"extra_body": {"last_frame": "file:///etc/passwd"}}, "fetches no URLs", "last_frame"),
        ({"extra_body": {"last_frame": "data:image/svg+xml;base64,AAAA"}}, "wanted data:image/png", "last_frame"),
        ({"extra_body": {"last_frame": "data:image/png;base64,AAA"}}, "base64 is damaged", "last_frame"),
        ({"input_reference": ("a.png", b"no image", "image/png")}, "want PNG or JPEG or WEBP", None),
        ({"input_reference": ("a.svg", b"<svg></svg>", "image/svg+xml")}, "got an SVG drawing", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_openai_is_told_what_is_wrong(client: OpenAI, asked: dict[str, Any], message: str, param: str | None) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as error:
        client.videos.create(**{"prompt": PROMPT} | asked)
    assert error.value.param == param
    assert error.value.type == "invalid_request_error"


def test_openai_keys_are_kept(client: OpenAI) -> None:
    def create(key: str, prompt: str = PROMPT) -> Any:
        return client.videos.create(prompt=prompt, extra_headers={"Idempotency-Key": key})

    one = create("k")
    assert create("k").id == one.id
    assert create("other").id != one.id
    with pytest.raises(openai.UnprocessableEntityError, match="came with another request"):
        create("k", "a blue star")


def test_the_same_as_json(server: Server) -> None:
    def post(**fields: Any) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/videos", json={"prompt": PROMPT} | fields)

    made = post(input_reference={"image_url": data_url()}, seconds=0.5, width=32, height=32, fps=8, seed=3)
    assert (made.status_code, made.json()["status"], made.json()["seed"]) == (200, "queued", 3)
    assert post(seconds="0.5", size="32x32", seed="3", last_frame=None).status_code == 200
    assert post(width=32).json()["error"]["param"] == "size"
    assert post(width=32, height=32, size="32x32").status_code == 400
    slower = post(fps=4, seconds=1).json()
    assert (slower["seconds"], slower["size"]) == ("1", "32x32")


def test_what_is_not_made_cannot_be_fetched(client: OpenAI) -> None:
    video = client.videos.create(prompt=PROMPT, extra_body={"num_inference_steps": 500})
    with pytest.raises(openai.BadRequestError, match="there is nothing to fetch"):
        client.videos.download_content(video.id)
    while client.videos.retrieve(video.id).status == "queued":
        time.sleep(0.05)
    client.videos.delete(video.id)
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)


def test_ark_from_prompt_to_file(ark: Any, server: Server) -> None:
    content = [text(f"{PROMPT} --dur 0.5 --seed 3 --ratio 1:1 --rs 32p"), image(None), image("last_frame", 1)]
    made = ark.create(model="model", content=content, return_last_frame=True)
    assert made.id.startswith("cgt-")
    task = ended(ark, made.id)
    assert (task.status, task.seed, task.ratio, task.resolution) == ("succeeded", 3, "1:1", "32p")
    assert (task.duration, task.frames, task.framespersecond, task.error) == (0.5, 4, 8, None)
    for url, kind, magic in (
        (task.content.video_url, "video/mp4", b"ftyp"),
        (task.content.last_frame_url, "image/png", b"PNG"),
    ):
        assert url.startswith(server.url)
        got = httpx.get(url)
        assert (got.headers["content-type"], magic in got.content[:12]) == (kind, True)
    assert task.usage.total_tokens == 32 * 32 * 4 // 1024
    listed = ark.list(page_num=1, page_size=5, status="succeeded", task_ids=[made.id, "cgt-nobody"])
    assert (listed.total, [each.id for each in listed.items]) == (1, [made.id])
    assert ark.list(status="failed", task_ids=[made.id]).total == 0
    assert ark.list(model="another").total == 0
    video = task.content.video_url
    ark.delete(task_id=made.id)
    with pytest.raises(ArkNotFoundError, match="no such task"):
        ark.get(task_id=made.id)
    assert httpx.get(video).status_code == 404


def test_ark_cancels_what_waits_and_not_what_runs(ark: Any) -> None:
    long = ark.create(model="model", content=[text(PROMPT)], extra_body={"num_inference_steps": 1000}).id
    waiting = ark.create(model="model", content=[text(PROMPT)]).id
    ark.delete(task_id=waiting)
    assert ark.get(task_id=waiting).status == "cancelled"
    while ark.get(task_id=long).status == "queued":
        time.sleep(0.05)
    with pytest.raises(ArkBadRequestError, match="running"):
        ark.delete(task_id=long)
    ark.delete(task_id=waiting)


def test_both_dialects_show_the_same_jobs(client: OpenAI, ark: Any) -> None:
    running = next(task.id for task in ark.list(status="running").items)
    video = client.videos.retrieve(running.replace("cgt-", "video_"))
    assert video.status == "in_progress"
    client.videos.delete(video.id)
    with pytest.raises(ArkNotFoundError):
        ark.get(task_id=running)


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ([image("last_frame")], {}, "last_frame without a first_frame"),
        ([text(PROMPT), image("first_frame"), image(None)], {}, "two images for the first_frame"),
        ([text(PROMPT), image("reference_image")], {}, "role"),
        ([text(PROMPT + " --dur 5")], {}, "try 0.5"),
        ([text(PROMPT + " --dur 0.5")], {"duration": 1}, "give it once"),
        ([text(PROMPT + " --colour red")], {}, "got '--colour red' in the text"),
        ([text(PROMPT + " --seed")], {}, "got '--seed' in the text"),
        ([text(PROMPT)], {"resolution": "720p"}, "try 32p at 1:1"),
        ([text(PROMPT)], {"ratio": "16:9"}, "try 32p at 1:1"),
        ([text(PROMPT)], {"callback_url": "http://127.0.0.1/"}, "callback_url"),
        ([text(PROMPT)], {"watermark": True}, "watermark"),
        ([text(PROMPT)], {"model": "seedance"}, "this server has 'model'"),
        ([], {}, "content"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_ark_is_told_what_is_wrong(ark: Any, content: list[Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ArkBadRequestError, match=message) as error:
        ark.create(**{"model": "model", "content": content} | more)
    assert error.value.code[0].isupper()
    assert error.value.request_id


def test_ark_takes_whatever_stands_for_nothing(ark: Any) -> None:
    more = dict.fromkeys(("duration", "resolution", "return_last_frame", "tau", "frames"))  # sent as null
    made = ark.create(
        model="model", content=[text(PROMPT)], seed=-1, ratio="adaptive", watermark=False, extra_body=more
    )
    assert 0 <= ended(ark, made.id).seed < 2**32
    assert ark.get(task_id=made.id).content.last_frame_url is None
