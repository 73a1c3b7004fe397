"""The report opened in a real browser, from its file: drawn whole, silent, and asking the network for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from selenium.common import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait
from tests.support.studies import study_spec
from tests.unit.report import samples

from tuning_operator.report.page import render

CHROMIUM: Final = Path("/usr/bin/chromium")
CHROMEDRIVER: Final = Path("/usr/bin/chromedriver")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DRAWING_LIMIT_S: Final = 60
WIDTHS: Final = (1280, 390)

UNDRAWN: Final = """
return JSON.parse(document.getElementById("figures").textContent).filter(({id, data}) => {
  const plot = document.getElementById(id);
  const box = plot.querySelector("svg.main-svg")?.getBoundingClientRect();
  const drawn = plot.querySelectorAll(".scatterlayer > .trace, .barlayer > .trace, .barlayer .trace.bars");
  return !(box?.width > 100 && box.height > 100 && new Set(drawn).size === data.length);
}).map(({id}) => id);
"""
"""Ids of the plots without a drawn svg that holds every one of their traces."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    missing = [str(path) for path in (CHROMIUM, CHROMEDRIVER) if not path.exists()]
    if missing:
        pytest.fail(f"{' and '.join(missing)} missing: install the Debian packages chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the driver's path given, selenium does not look for one to download.
    chrome = Chrome(options=options, service=Service(executable_path=str(CHROMEDRIVER)))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(samples.realistic()), encoding="utf-8")
    return path


Opened = Callable[..., None]


@pytest.fixture
def opened(browser: Chrome) -> Iterator[Opened]:
    """Opens a report in a window of some width and waits until every plot is drawn."""

    def open_report(path: Path, *, width: int, dark: bool = False) -> None:
        log(browser, "browser")
        log(browser, "performance")
        emulate(browser, "setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        emulate(browser, "setEmulatedMedia", media="", features=[scheme])
        browser.get(path.as_uri())
        try:
            WebDriverWait(browser, DRAWING_LIMIT_S).until(drawn)
        except TimeoutException:
            pytest.fail(f"not drawn: {browser.execute_script(UNDRAWN)}; console: {console(browser)}")

    yield open_report
    browser.get("about:blank")


def emulate(browser: Chrome, what: str, **parameters: Any) -> None:
    browser.execute_cdp_cmd(f"Emulation.{what}", parameters)


def drawn(browser: Chrome) -> bool:
    undrawn: list[str] = browser.execute_script(UNDRAWN)
    return not undrawn


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """What has been logged since this was last asked."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def console(browser: Chrome) -> list[str]:
    return [entry["message"] for entry in log(browser, "browser")]


def requested(browser: Chrome) -> set[str]:
    """What the page asked for, by the kind of address."""
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {urlsplit(request["request"]["url"]).scheme for request in sent if request["documentURL"].startswith("file:")}


@pytest.mark.parametrize("width", WIDTHS)
def test_every_plot_is_drawn_without_a_word_on_the_console(browser: Chrome, report: Path, opened: Opened, width: int) -> None:
    opened(report, width=width)
    assert len(browser.execute_script("return document.querySelectorAll('.plot svg.main-svg')")) >= 10
    assert console(browser) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_asked_of_the_network(browser: Chrome, report: Path, opened: Opened, width: int) -> None:
    opened(report, width=width)
    assert requested(browser) <= {"file", "data", "blob"}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_does_not_scroll_sideways(browser: Chrome, report: Path, opened: Opened, width: int) -> None:
    opened(report, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("dark", "light_text"), [pytest.param(False, False, id="light"), pytest.param(True, True, id="dark")])
def test_plots_follow_the_readers_colour_scheme(
    browser: Chrome, report: Path, opened: Opened, *, dark: bool, light_text: bool
) -> None:
    opened(report, width=1280, dark=dark)
    assert (brightness(browser, ".plot .xtick text") > 128) is light_text
    assert (brightness(browser, "body") > 128) is light_text


def test_paper_is_light_and_wide_enough_for_every_plot(browser: Chrome, report: Path, opened: Opened) -> None:
    opened(report, width=1280, dark=True)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    widest = "return Math.max(...[...document.querySelectorAll('.plot svg.main-svg')].map((svg) => svg.width.baseVal.value))"
    WebDriverWait(browser, DRAWING_LIMIT_S).until(lambda page: page.execute_script(widest) <= 680 and drawn(page))
    assert brightness(browser, ".plot .xtick text") < 128


def brightness(browser: Chrome, selector: str) -> float:
    """Of the text: 0 is black, 255 is white."""
    script = """
      const style = getComputedStyle(document.querySelector(arguments[0]));
      return (arguments[0] === "body" ? style.color : style.fill).match(/\\d+/g).slice(0, 3).map(Number);
    """
    red, green, blue = (float(part) for part in browser.execute_script(script, selector))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_hostile_text_is_shown_and_never_run(browser: Chrome, opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(samples.hostile()), encoding="utf-8")
    opened(path, width=1280)
    assert console(browser) == []
    assert browser.execute_script("return document.images.length") == 0
    assert samples.BREAKOUT in browser.execute_script("return document.body.innerText")


def test_a_report_without_plots_is_silent_too(browser: Chrome, opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(samples.record([], spec=study_spec())), encoding="utf-8")
    opened(path, width=390)
    assert console(browser) == []
    assert "No trial gave a value" in browser.execute_script("return document.body.innerText")
