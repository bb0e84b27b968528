"""The page in a real browser, opened from a file."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from sde_jax.report import Report, image_grid, render

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the path")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page from a file; afterwards, it must have logged nothing and asked for nothing."""
    contexts, complaints = [], []

    def open_page(html, **settings):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **settings})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.extend([] if own(request.url) else [request.url]))

        def own(url):
            return url.startswith("data:") or url == path.as_uri()

        tab.goto(path.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def pixels(tab):
    frame = tab.locator("#trajectory-frame")
    # In flow the frame may begin between two pixels of the screen.
    frame.evaluate("(frame) => { frame.style.cssText = 'position:fixed;top:0;left:0'; }")
    shot = frame.screenshot()
    frame.evaluate("(frame) => { frame.style.cssText = ''; }")
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L"))


def test_the_slider_shows_the_frame_of_its_time(opened, page, report):
    tab = opened(page)
    slider, time = tab.locator("#trajectory-slider"), tab.locator("#trajectory-time")
    for index in (11, 4, 0, 7):
        slider.fill(str(index))
        expect(time).to_have_text(f"t = {report.trajectory_times[index]:.2f}")
        expect(slider).to_have_attribute("aria-valuetext", f"t = {report.trajectory_times[index]:.2f}")
        expected = np.asarray(image_grid(report.trajectory[index])).astype(int)
        np.testing.assert_allclose(pixels(tab), expected, atol=2)


def test_a_fine_screen_shows_a_frame_without_smoothing(opened, page, report):
    tab = opened(page, device_scale_factor=2)
    expected = np.asarray(image_grid(report.trajectory[-1])).astype(int).repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(pixels(tab), expected, atol=2)


def test_the_slider_follows_the_keyboard_and_the_mouse(opened, page):
    tab = opened(page)
    slider, time = tab.locator("#trajectory-slider"), tab.locator("#trajectory-time")
    slider.focus()
    last = pixels(tab)
    tab.keyboard.press("ArrowLeft")
    expect(time).to_have_text("t = 0.09")
    assert (pixels(tab) != last).any()
    tab.keyboard.press("Home")
    expect(time).to_have_text("t = 1.00")
    slider.click()  # in its middle
    assert 0.4 < float(time.inner_text().removeprefix("t = ")) < 0.6


def test_play_runs_from_noise_to_data_and_stops(opened, page):
    tab = opened(page)
    time, button = tab.locator("#trajectory-time"), tab.locator("#trajectory-play")
    tab.evaluate(
        "() => { const time = document.getElementById('trajectory-time'); window.seen = [];"
        "new MutationObserver(() => window.seen.push(time.textContent)).observe(time, {childList: true}); }"
    )
    button.click()
    expect(button).to_have_text("Pause")
    expect(button).to_have_text("Play", timeout=20_000)
    expect(time).to_have_text("t = 0.00")
    assert tab.evaluate("window.seen") == [f"t = {t:.2f}" for t in np.linspace(1, 0, 12)]


def test_play_pauses_where_it_is_told_to(opened, page):
    tab = opened(page)
    slider, time, button = (tab.locator(f"#trajectory-{part}") for part in ("slider", "time", "play"))
    slider.fill("0")
    button.click()
    expect(time).not_to_have_text("t = 1.00")
    button.click()
    stopped, shown = time.inner_text(), pixels(tab)
    tab.wait_for_timeout(700)
    assert time.inner_text() == stopped
    np.testing.assert_array_equal(pixels(tab), shown)
    slider.focus()
    tab.keyboard.press("Space")
    expect(button).to_have_text("Pause")
    slider.fill("3")
    expect(button).to_have_text("Play")


def test_a_name_that_wants_to_be_a_script_is_text(opened, page, report):
    tab = opened(page)
    assert tab.locator("h1").inner_text() == tab.title() == report.title
    assert "<script>" in report.title
    assert tab.evaluate("window.pwned") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_window_and_shows_every_image(opened, page, scheme):
    tab = opened(page, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    red = tab.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert red < 64 if scheme == "dark" else red > 192
    for width in (320, 700, 1280):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        decoded = "Promise.all([...document.images].map((image) => image.decode())).then(() => true)"
        assert tab.evaluate(decoded)


def test_diagrams_have_a_form_for_each_scheme_and_width(opened, page):
    tab = opened(page)
    image = tab.locator(".diagram img").first
    forms = tab.locator(".diagram").first.evaluate(
        "(figure) => [...figure.querySelectorAll('source'), figure.querySelector('img')]"
        ".map((form) => form.srcset || form.src)"
    )
    assert len(set(forms)) == 4
    windows = [(380, "dark"), (1280, "dark"), (380, "light"), (1280, "light")]
    for (width, scheme), form in zip(windows, forms, strict=True):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(color_scheme=scheme)
        expect(image).to_have_js_property("currentSrc", form)


def test_the_policy_refuses_the_network_and_other_scripts(browser, tmp_path, page):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    context = browser.new_context()
    tab = context.new_page()
    failed, finished = [], []
    tab.on("requestfailed", lambda request: failed.append(request.failure))
    tab.on("requestfinished", lambda request: finished.append(request.url))
    tab.goto(path.as_uri())
    refused = tab.evaluate(
        """async () => {
          const refused = [];
          addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.pwned = 1";
          const image = document.createElement("img");
          image.src = "http://report.invalid/a.png";
          document.body.append(script, image);
          await fetch("http://report.invalid/").catch(() => null);
          await new Promise((resolve) => setTimeout(resolve, 200));
          return [...refused.sort(), window.pwned ?? null];
        }"""
    )
    context.close()
    assert refused == ["connect-src", "img-src", "script-src-elem", None]
    assert set(failed) == {"csp"}
    assert all(url.startswith(("data:", "file:")) for url in finished)


def test_a_page_without_a_trajectory_logs_nothing(opened):
    tab = opened(render(Report(title="only a title", config={"seed": 0})))
    assert tab.locator("details").get_attribute("open") is None
    tab.locator("details > summary").click()
    expect(tab.locator("dt")).to_have_text("seed")
