"""The report in a headless Chromium: nothing on the console, nothing fetched, nothing cut off, readable everywhere.

    pip install playwright && playwright install chromium && pytest -m browser

The environment variable CHROMIUM names another executable than playwright's own.
"""

from __future__ import annotations

import os

import pytest

from lightning_twosome.report.command import report
from tests.report_runs import write_run

pytestmark = pytest.mark.browser
SCREENS = {"desktop": (1100, 900), "phone": (390, 844)}
# Texts of drawings that reach out of them, which would be cut off or lie over others.
CUT_OFF = """[...document.querySelectorAll('svg[role=img]')].flatMap(svg => {
    const box = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(text => {
        const own = text.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1;
    }).map(text => text.textContent);
})"""
# Smallest contrast of a text with the page, as WCAG defines it.
CONTRAST = """(() => {
    const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const luminance = colour => numbers(colour).map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const paper = luminance(getComputedStyle(document.body).backgroundColor);
    const texts = [...document.querySelectorAll('p, th, td, a, figcaption, summary, h1, h2, svg text')];
    return Math.min(...texts.map(text => {
        const style = getComputedStyle(text);
        const ink = luminance(text instanceof SVGElement ? style.fill : style.color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }));
})()"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [write_run(folder / f"{name}-{seed}", seed, name) for name in ("word", "sum") for seed in range(2)]
    return report([str(run) for run in runs])[0].as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_page_is_readable(browser, address, screen, scheme):
    width, height = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == {
        "light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"
    }[scheme]  # fmt: skip
    context.close()


def test_recording_plays_on_request_alone(browser, address):
    page = browser.new_page()
    page.goto(address)
    recording = page.locator(".recording").first
    assert recording.locator(".still").is_visible() and not recording.locator(".film img").is_visible()
    recording.locator(".film summary").click()
    assert not recording.locator(".still").is_visible() and recording.locator(".film img").is_visible()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.close()
