"""The pictures of the studio in the docs: the page in a real browser, at clips that the shipped model made for it.

Command:   python experiments/studio_pictures.py      (with the test extra, and Debian's chromium)
Cost:      a minute of one core
Obtained:  docs/pictures/studio.webp, studio-dark.webp, studio-draw.webp, studio-phone.webp
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pixeldance.data.toybox import clip_and_scene, describe_scene
from pixeldance.metrics.toybox import HELD_OUT, SEED

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
EXAMPLES = Path(__file__).parents[1] / "examples"
TEXT = "a red star moves right quickly on a plain light blue background"
OTHERS = range(SEED + 4, SEED + 8)  # the history: captions like any other
WIDE = {"width": 1360, "height": 900}


@contextmanager
def studio(store: Path) -> Iterator[str]:
    """The address of a studio of its own."""
    command = [sys.executable, "-m", "pixeldance", "studio", "--no-open", "--port", "0", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+:\d+", server.stdout.readline())
            assert found is not None, "no server"
            yield found[0]
        finally:
            server.terminate()


def png(pixels: np.ndarray) -> dict[str, Any]:
    """A picture as a file that a page is given."""
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, "PNG")
    return {"name": "picture.png", "mimeType": "image/png", "buffer": kept.getvalue()}


def render(page: Page, text: str, first: Any, last: Any) -> None:
    """Ask for a clip, and wait until its meter is read."""
    page.locator("#prompt").fill(text)
    for name, picture in (("First", first), ("Last", last)):
        page.locator("#ends").get_by_label(f"{name} frame: choose a file").set_input_files(picture)
    before = page.locator(".card").count()
    page.locator("#render").click()
    page.locator(".card").nth(before).wait_for()
    page.locator("#stage .verdict .chip").wait_for()


def shot(page: Page, name: str) -> None:
    """Keep what the window shows."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").save(PICTURES / f"{name}.webp", quality=85)


def main() -> None:
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])

        def opened(**settings: Any) -> Page:
            context = browser.new_context(**{"viewport": WIDE} | settings)
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(f"{url}/studio/")
            page.get_by_text("History").wait_for()
            return page

        page = opened()
        for number in OTHERS:
            made, scene = clip_and_scene(number, world=HELD_OUT)
            render(page, describe_scene(scene), png(made.video[0]), png(made.video[-1]))
        page.locator("#prompt").fill(TEXT)
        page.locator("#ends").get_by_label("First frame: choose a file").set_input_files(EXAMPLES / "first.png")
        page.locator("#ends").get_by_label("Last frame: choose a file").set_input_files(EXAMPLES / "last_drawn.png")
        page.get_by_role("button", name="Draw on the last frame").click()
        page.locator("#paint").wait_for()
        shot(page, "studio-draw")
        page.keyboard.press("Escape")
        render(page, TEXT, EXAMPLES / "first.png", EXAMPLES / "last_drawn.png")
        page.locator("summary", has_text="readings").click()
        page.wait_for_timeout(1500)
        shot(page, "studio")
        dark = opened(color_scheme="dark")
        dark.locator(".card").first.click()
        dark.locator("#stage .verdict .chip").wait_for()
        dark.wait_for_timeout(1500)
        shot(dark, "studio-dark")
        phone = opened(viewport={"width": 375, "height": 812}, device_scale_factor=2, has_touch=True)
        phone.locator(".card").first.click()
        phone.locator("#stage .verdict .chip").wait_for()
        phone.wait_for_timeout(1500)
        shot(phone, "studio-phone")
        browser.close()


if __name__ == "__main__":
    main()
