"""A browser opens the report: it says nothing, asks for nothing, and shows hostile text as text."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from crucible_ray import RunResult
from tests.reports.hostile import MARK, hostile_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver on the PATH"
    ),
]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return hostile_run(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def opened(browser: Chrome, hostile: RunResult) -> Chrome:
    browser.get("about:blank")
    logged(browser, "performance")
    browser.get(hostile.reports["html"].as_uri())
    return browser


def logged(browser: Any, kind: str) -> list[dict[str, Any]]:
    """What the browser's log has to say since it was last asked."""
    return list(browser.get_log(kind))


def requested(browser: Chrome) -> set[str]:
    """Every address that the page asked for."""
    messages: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in logged(browser, "performance")
    ]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    return {url for url in asked if not url.startswith("chrome://")}  # the browser's own first tab


def test_it_opens_without_a_word_on_the_console_and_asks_for_nothing_but_itself(
    opened: Chrome, hostile: RunResult
) -> None:
    assert logged(opened, "browser") == []
    assert requested(opened) == {hostile.reports["html"].as_uri()}


def test_hostile_replies_are_shown_as_text_and_do_nothing(opened: Chrome) -> None:
    from selenium.webdriver.common.by import By

    text = opened.find_element(By.ID, "question-by-question").find_element(By.XPATH, "..").text
    assert opened.title == "<b>Hostile</b> \u27e8U+202E\u27e9eman"
    assert f"<script src='{MARK}s.js'>" in text
    assert "\N{SYMBOL FOR ESCAPE}[2J" in text
    assert "user\u27e8U+202E\u27e9txt.exe" in text
    assert "(1,000,000 characters)" in text
    assert "\u202e" not in opened.page_source
    for tag in ("script", "img", "iframe", "link[rel=stylesheet]", "main b", "main style", "a[href^=http]"):
        assert opened.find_elements(By.CSS_SELECTOR, tag) == [], tag
    assert len(opened.find_elements(By.TAG_NAME, "h1")) == 1


def test_every_table_has_a_caption_and_heads_with_their_scope(opened: Chrome) -> None:
    from selenium.webdriver.common.by import By

    for table in opened.find_elements(By.TAG_NAME, "table"):
        assert table.find_element(By.TAG_NAME, "caption").text
        assert all(head.get_attribute("scope") for head in table.find_elements(By.TAG_NAME, "th"))


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_the_page_is_never_wider_than_the_screen(opened: Chrome, width: int) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_stands_out_from_paper_in_light_and_dark(opened: Chrome, scheme: str) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    ink, paper = opened.execute_script(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    )
    light, dark = sorted((_luminance(ink), _luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7
    assert (_luminance(paper) > 0.5) == (scheme == "light")


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_it_prints_on_paper(opened: Chrome) -> None:
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") >= 1
