"""A person's whole path through the studio, in Debian's Chromium, against a real server with a tiny model."""

import base64
import io
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from serving import Bench, Server, bench, png

from pixeldance import checkpoint
from pixeldance.metrics.calibration import Calibration, Point, write
from pixeldance.receipt import Receipt, versions

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (Debian: apt-get install chromium)")
QUIETLY = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
PATIENCE = 180_000  # milliseconds
TEXT = "a red circle moves right"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A store with a tiny model whose dial has words."""
    made = bench(tmp_path_factory.mktemp("studio"))
    model = made.places.folder.parent / "model"
    curve = [Point(tau=tau, similarity=20 + tau, low=1, high=2, end_jump=1, smooth=1) for tau in (0.0, 1.0)]
    words = {"exact": 1.0, "guide": 0.6, "hint": 0.2}
    own = {"model": checkpoint.model_hash(model), "pairs": 1, "steps": 3, "guidance": 1.0, "versions": versions()}
    write(Calibration(curve=curve, words=words, **own), model)
    return made


@dataclass
class Kept:
    """A server that is started where there is none, and so outlives being killed."""

    made: Bench
    server: Server | None = None

    @property
    def url(self) -> str:
        if self.server is None:
            self.server = Server.start(self.made.places.folder, self.made.places.folder.parent / "model")
        return self.server.url

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.server is not None:
            code, said = self.server.stop(number)
            assert number == signal.SIGKILL or (code, said) == (128 + number, ""), "something was complained of"
        self.server = None


@pytest.fixture(scope="module")
def server(made: Bench) -> Iterator[Kept]:
    server = Kept(made)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIETLY))
        yield browser
        browser.close()


def opened(browser: Any, url: str, *, ready: bool = True, **settings: Any) -> Any:
    """The studio in a window of its own; whatever the page complains of, or asks of others, fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda told: page.wrong.append(told.text) if told.type == "error" and not early(told) else None)
    page.on("request", lambda asked: page.wrong.append(asked.url) if not asked.url.startswith((url, "data:")) else None)
    page.goto(f"{url}/studio/")
    if ready:
        page.get_by_text("History").wait_for()
    return page


def playing(page: Any, film: Any) -> None:
    """Wait until a video runs."""
    for _ in range(100):
        if film.evaluate("film => !film.paused && film.readyState >= 2 && film.currentTime > 0"):
            return
        page.wait_for_timeout(100)
    raise AssertionError("the video does not play")


def early(told: Any) -> bool:
    """Whether it is that a preview is not there: not yet, or not any more."""
    return "404" in told.text and "preview.webp" in told.location["url"]


def closed(page: Any) -> None:
    assert page.wrong == []
    page.context.close()


def well(page: Any, number: int) -> np.ndarray:
    """The pixels of what one of the two wells of a clip holds."""
    url = page.locator("#ends .well img").nth(number).get_attribute("src")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB").resize((32, 32)))


def test_a_person_draws_an_end_and_gets_a_clip(browser: Any, server: Kept, made: Bench, tmp_path: Path) -> None:
    page = opened(browser, server.url)
    page.get_by_text("Nothing yet.").wait_for()
    page.locator("#render").click()
    assert "Say what happens" in page.locator("#refusal").inner_text()
    page.locator("#prompt").fill(f"{TEXT} <img src=x onerror=alert(1)>")

    # The last frame is drawn over the first: by hand, with one stroke taken back, and by keyboard.
    page.locator("#ends").get_by_label("First frame: choose a file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": png()}
    )
    page.get_by_role("button", name="Draw the last frame over the first").click()
    board = page.locator("#paint").bounding_box()
    middle = board["x"] + board["width"] / 2, board["y"] + board["height"] / 2
    page.get_by_label("green").check()
    for down in (60, 100):
        page.mouse.move(middle[0] - 60, middle[1] - down)
        page.mouse.down()
        page.mouse.move(middle[0] + 60, middle[1] - down, steps=4)
        page.mouse.up()
    page.keyboard.press("Control+z")
    assert page.get_by_role("button", name="Redo").is_enabled()
    page.locator("#paint").focus()
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Use this drawing").click()
    first, last = well(page, 0), well(page, 1)
    changed = (first != last).any(-1)
    green = (np.abs(last.astype(int) - (0x3D, 0x9A, 0x50)).max(-1) < 30) & changed
    assert 0.02 < green.mean() < 0.5
    assert green[12].any(), "the stroke"
    assert not green[9].any() or green[9].sum() < green[12].sum(), "the stroke that was taken back"

    page.get_by_label("Hint").check()
    assert page.locator("#tau").input_value() == "0.2"
    page.locator("summary", has_text="Settings").click()
    page.locator("#steps").fill("120")
    page.locator("#seed").fill("7")
    page.locator("#render").click()
    page.get_by_alt_text("What the clip looks like so far").wait_for()
    page.locator(".verdict .chip").wait_for()
    film = page.locator("#stage video")
    playing(page, film)
    assert page.locator(".readings li").count() >= 10

    with page.expect_download() as video:
        page.get_by_role("link", name="Download").click()
    assert b"ftyp" in Path(video.value.path()).read_bytes()[:12]
    with page.expect_download() as receipt:
        page.get_by_role("link", name="Receipt").click()
    asked = Receipt.model_validate_json(Path(receipt.value.path()).read_bytes()).request
    assert (asked.tau, asked.seed, asked.steps, "onerror" in asked.prompt) == (0.2, 7, 120, True)
    assert asked.first is not None
    assert asked.last is not None
    assert np.abs(asked.last.pixels().astype(int) - last).mean() < 12
    assert page.locator("img[onerror]").count() == 0
    closed(page)


def test_five_ends_beside_each_other(browser: Any, server: Kept) -> None:
    page = opened(browser, server.url)
    page.locator("#prompt").fill(TEXT)
    for name, seed in (("First", 0), ("Last", 1)):
        file = {"name": "a.png", "mimeType": "image/png", "buffer": png(seed)}
        page.locator("#ends").get_by_label(f"{name} frame: choose a file").set_input_files(file)
    page.get_by_role("button", name="Compare five ends").click()
    page.locator(".strip video").nth(4).wait_for()
    told = page.locator(".strip button").all_inner_texts()
    assert [text.strip() for text in told] == [f"tau {tau}" for tau in ("0", "0.25", "0.5", "0.75", "1")]
    page.locator(".strip button").nth(1).click()
    assert "tau 0.25" in page.locator("#stage .facts").first.inner_text()
    closed(page)


def test_a_film_of_which_one_shot_is_changed(browser: Any, server: Kept, made: Bench) -> None:
    page = opened(browser, server.url)
    page.get_by_role("tab", name="Clip").press("ArrowRight")
    text = page.get_by_label("What happens; THEN")
    text.fill("a red circle moves right")
    for words in ("a red circle grows", "a blue star moves left"):
        page.get_by_role("button", name="+ Shot").click()
        text.fill(words)
    page.get_by_label("How it follows").select_option("cut")
    page.get_by_text("5 of 5 clips to make").wait_for()
    page.get_by_role("button", name="Render the film").click()
    page.locator("#film .screen video").wait_for()
    page.get_by_text("all 5 clips are there").wait_for()
    assert page.locator(".shot img").count() == 3
    kept = {path.name for path in made.places.shots().iterdir()}
    page.get_by_role("button", name="Shot 2: a red circle grows").click()
    text.fill("a red circle shrinks")
    page.get_by_text("1 of 5 clips to make").wait_for()
    assert page.locator(".line .chip").all_inner_texts() == ["kept", "to make", "kept"]
    page.get_by_role("button", name="Render the film").click()
    page.get_by_text("all 5 clips are there").wait_for()
    assert len({path.name for path in made.places.shots().iterdir()} - kept) == 1
    page.locator("#film .card").nth(1).click()
    page.get_by_role("button", name="Shot 2: a red circle grows").wait_for()
    closed(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(browser: Any, server: Kept, scheme: str) -> None:
    page = opened(browser, server.url, viewport={"width": 375, "height": 700}, color_scheme=scheme, has_touch=True)
    for tab in ("Film", "Clip"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        thin = page.evaluate(CONTRAST)
        assert thin == [], "too little contrast (WCAG 1.4.3)"
        unnamed = page.evaluate(UNNAMED)
        assert unnamed == [], "controls without a name"
    closed(page)


def test_history_outlives_reload_and_restart_and_a_key_is_asked_for(browser: Any, server: Kept, made: Bench) -> None:
    """The server is killed with `kill -9`; the one after it has a key. (The last test: it leaves none behind.)"""
    page = opened(browser, server.url)
    page.locator("#prompt").fill("a blue star moves left")
    page.locator("summary", has_text="Settings").click()
    page.locator("#steps").fill("1000")
    page.locator("#prompt").press("Control+Enter")
    page.locator("#stage .facts", has_text=" left").wait_for()
    page.locator("#stage").get_by_role("button", name="Stop").click()
    page.get_by_text("What was asked for is kept.").wait_for()
    page.reload()
    page.locator("#cards .card").get_by_text("stopped").wait_for()
    assert page.locator("#prompt").input_value() == "a blue star moves left", "the draft"
    closed(page)
    server.stop(signal.SIGKILL)
    key = "0123456789abcdef"
    other = Server.start(made.places.folder, made.places.folder.parent / "model", PIXELDANCE_TOKEN=key)
    page = opened(browser, other.url, ready=False)
    page.get_by_label("Key", exact=True).fill(key)
    page.wrong.clear()  # that it was refused without one
    page.get_by_role("button", name="Go on").click()
    page.locator("#cards .card", has_text="a blue star moves left").first.click()
    page.locator("#stage").get_by_role("button", name="Use again").click()
    expect(page.locator("#prompt")).to_have_value("a blue star moves left")
    assert page.locator("#steps").input_value() == "1000"
    closed(page)
    assert other.stop()[0] == 128 + signal.SIGTERM


# What is read: the contrast of each text with the background behind it, 4.5 at least, 3 where it is large; what is
# disabled is exempt.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true}), known = new Map();
  const parse = (colour) => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
      known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(colour);
  };
  const light = (parts) => parts.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = parse(getComputedStyle(each).backgroundColor);
      if (found[3] > 250) return found;
    }
    return [255, 255, 255, 255];
  };
  const thin = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const exempt = element.closest(":disabled, .unseen, .skip, noscript, .chip, .tag");
    if (!text || exempt || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parse(style.color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05), large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) thin.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return thin;
}"""
UNNAMED = """() => [...document.querySelectorAll("button, input, textarea, select, a[href]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length))
  .map((each) => each.outerHTML.slice(0, 80))"""
