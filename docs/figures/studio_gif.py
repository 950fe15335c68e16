"""Records docs/figures/studio.gif, a short session in the studio: a trained network becomes a formula by clicks.

    pip install ".[studio,viz]" playwright
    python docs/figures/studio_gif.py                (with Chromium: CHROMIUM=/usr/bin/chromium by default)

Every frame is a picture of the real page; nothing is drawn by hand. Frames share one palette: the file is small.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import edgewise as ew

TARGET = Path(__file__).with_name("studio.gif")
SIZE = {"width": 1120, "height": 640}
SHOWN = 840
"""The width of the picture in pixels."""

COLOURS = 64
LARGEST = 1_500_000


def session():
    """The studio of a fitted network, served without a window."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(400, 2, dtype=torch.float64, generator=generator) - 1
    y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
    model = ew.fit(ew.KAN([2, 1, 1], input_names=["angle", "load"], output_names=["force"]), (x, y)).model
    assert isinstance(model, ew.KAN)
    return ew.studio(model, x, y).open(browser=False)


def frames(page: Page) -> Iterator[tuple[Image.Image, int]]:
    """Pictures of the page and how many milliseconds each is shown."""

    def look(milliseconds: int) -> tuple[Image.Image, int]:
        page.wait_for_timeout(350)
        return Image.open(io.BytesIO(page.screenshot())).convert("RGB"), milliseconds

    yield look(1200)
    for number in range(page.locator("g.edge").count()):
        states = page.locator(".history li").count()
        page.locator("g.edge .box").nth(number).click()
        page.locator(".candidates button").first.wait_for()
        yield look(800)
        page.locator(".candidates button").first.hover()  # the candidate over the curve, and the error it would bring
        yield look(1100)
        page.locator(".candidates button").first.click()
        page.wait_for_function("n => document.querySelectorAll('.history li').length > n", arg=states)
        yield look(900)
    states = page.locator(".history li").count()
    page.keyboard.press("Escape")
    page.locator("body").press("f")
    page.wait_for_function("n => document.querySelectorAll('.history li').length > n", arg=states)
    page.wait_for_function("() => ![...document.querySelectorAll('button')].some(b => b.textContent === 'Stop')")
    yield look(1200)
    names = page.get_by_text("name constants", exact=False).first
    if names.count():
        names.click()
        page.get_by_text("as fitted").first.wait_for(timeout=60_000)
        yield look(3000)


def write(pictures: list[tuple[Image.Image, int]]) -> None:
    """The pictures as one animation."""
    height = round(SHOWN * SIZE["height"] / SIZE["width"])
    small = [picture.resize((SHOWN, height), Image.Resampling.LANCZOS) for picture, _ in pictures]
    palette = small[len(small) // 2].quantize(COLOURS, dither=Image.Dither.NONE)
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in small]
    durations = [milliseconds for _, milliseconds in pictures]
    first.save(TARGET, save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)


def main() -> int:
    """Record, write, and say how large the file is."""
    opened = session()
    try:
        with sync_playwright() as browsers:
            path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = browsers.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=SIZE)
            page.goto(opened.url)
            page.locator(".studio").wait_for()
            page.wait_for_timeout(1500)
            pictures = list(frames(page))
            browser.close()
    finally:
        opened.close()
    write(pictures)
    size = TARGET.stat().st_size
    print(f"{TARGET}: {len(pictures)} pictures, {size:,} bytes")
    return int(size > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
