"""Pictures of every panel of the studio in Chromium, light and dark, to be looked at: pictures.py FOLDER [CHROMIUM].

The first of them, `edge-light.png`, is that of the guide.
"""

import sys
from pathlib import Path

import torch
from playwright.sync_api import Page, sync_playwright

import edgewise as ew
from edgewise.workbench import Workspace
from edgewise.workbench.serving import served

SCREEN = {"width": 1280, "height": 720}
PAUSE = 400


def network() -> Workspace:
    """exp(sin(pi a) + b²), fitted a little."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(600, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
    model = ew.KAN([2, 2, 1], dtype=torch.float64, generator=generator, input_names=["angle", "load"])
    work = Workspace(model, x[:400], y[:400], held=(x[400:], y[400:]), title="strain")
    for message in ({"do": "fit", "steps": 60}, {"do": "search", "seconds": 8}):
        work.act(message)
    return work


def additive() -> Workspace:
    """Terms of two columns and their product."""
    x = torch.rand(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy()
    y = x[:, 0] ** 2 + 2 * x[:, 0] * x[:, 1] - 0.5 * x[:, 2]
    return ew.studio(ew.KANAdditive(interactions=[("x1", "x2")]).fit(x, y), title="an additive model").work


def look_at_network(page: Page, save) -> None:
    """Every panel of a network."""
    page.locator(".edge .box").first.click()
    page.wait_for_selector(".candidates button")
    page.locator(".candidates li button").nth(1).hover()
    save("edge")
    page.mouse.move(600, 650)
    for key, name in (("p", "points"), ("d", "draw")):
        page.keyboard.press(key)
        save(name)
    page.keyboard.press("Escape")
    page.locator(".node.sum .reach").first.click()
    save("node")
    for tab in ("network", "inputs", "front", "what-if"):
        page.click(f"#tab-{tab}")
        save(tab)
    page.keyboard.press("?")
    save("help")


def look_at_additive(page: Page, save) -> None:
    """A curve and a pair."""
    for name, card in (("curve", ".card:not(:has-text('surface'))"), ("surface", ".card:has-text('surface')")):
        page.locator(card).first.click()
        save(f"additive-{name}")


def main(folder: Path, chromium: str = "/usr/bin/chromium") -> None:
    """Take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for work, look in ((network(), look_at_network), (additive(), look_at_additive)):
            url, close = served(work)
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=SCREEN, color_scheme=scheme)
                page.goto(url)
                page.wait_for_selector(".studio")

                def save(name: str, page: Page = page, scheme: str = scheme) -> None:
                    page.wait_for_timeout(PAUSE)
                    page.screenshot(path=folder / f"{name}-{scheme}.png")

                look(page, save)
                page.close()
            close()
        browser.close()


main(Path(sys.argv[1]), *sys.argv[2:3])
