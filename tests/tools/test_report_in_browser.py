"""The page of `report` as people use it, in headless Chromium; every test fails on errors in the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_pack.tools.report.build import report
from tests.tools.browser import chromium
from tests.tools.report_sets import hostile_set, large_set

#: The least contrast of text by WCAG 2, level AA.
CONTRAST = 4.5
_CONTRASTS = """
const luminance = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
  }
};
return ["h1", ".kind", "nav a", "dt", ".facts dd", ".badge", "summary", "td", "thead th", ".more, .hint", "button",
        ".shot span", ".legend", "input"].map((name) => {
  const element = document.querySelector(name);
  const [one, other] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => a - b);
  return [name, (other + 0.05) / (one + 0.05)];
});
"""
_NAMELESS = """
return [...document.querySelectorAll("button, a, input, select, summary")].filter((element) =>
  !(element.getAttribute("aria-label") || element.textContent.trim() || element.labels?.length)).length
  + [...document.querySelectorAll("img:not([alt])")].length
  + [...document.querySelectorAll("table:not(:has(caption))")].length;
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(shared: Any) -> Iterator[Any]:
    shared.get_log("browser")
    yield shared
    assert shared.get_log("browser") == []
    for reset in ("Emulation.clearDeviceMetricsOverride", "Emulation.setEmulatedMedia"):
        shared.execute_cdp_cmd(reset, {})
    shared.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    return Path(report(hostile_set(folder / "set"), folder / "page.html").page).as_uri()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("large")
    return Path(report(large_set(folder / "set"), folder / "page.html").page).as_uri()


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def rows(browser: Any) -> list[str]:
    """The text of each class's row."""
    shown: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#class-table tbody tr')].map((row) => row.innerText)"
    )
    return [" ".join(text.split()) for text in shown]


def press(browser: Any, *names: str) -> Any:
    """Press keys, and give the element that then has the focus."""
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    active = browser.switch_to.active_element
    active.send_keys(*(getattr(keys, name) for name in names))
    return browser.switch_to.active_element


def test_search_among_thousands(browser: Any, large: str) -> None:
    browser.get(large)
    assert len(rows(browser)) == 50 and find(browser, "#found").text == "1,500 of 1,500"
    search = find(browser, "#search")
    search.send_keys("KIND 014")
    assert [row.split()[0] for row in rows(browser)] == [str(number) for number in range(140, 150)]
    assert find(browser, "#found").text == "10 of 1,500"
    search.clear()
    search.send_keys("7")
    assert rows(browser)[0] == "7 kind 0007 43", "a label is found too"
    search.clear()
    search.send_keys("no such class")
    assert rows(browser) == [] and not find(browser, "#all").is_displayed()
    search.clear()
    find(browser, "#order option[value=most]").click()
    assert rows(browser)[0] == "7 kind 0007 43"
    find(browser, "#all").click()
    assert browser.execute_script("return document.querySelectorAll('#class-table tbody tr').length") == 1050
    browser.execute_script("document.querySelector('#class-table a').focus()")
    press(browser, "ENTER")
    assert browser.current_url.endswith("#class-7")


def test_hostile_names_are_only_text(browser: Any, hostile: str) -> None:
    browser.get(hostile)
    assert browser.title == "set - gpu-pack report"
    assert browser.execute_script("return document.scripts.length") == 3
    assert browser.execute_script("return document.querySelectorAll('[onerror], [onfocus], [onload]').length") == 0
    shown = find(browser, "#class-table").text
    assert "</script><script>document.title='owned'</script>" in shown and "{{ 7 * 7 }}" in shown and "名前" in shown
    resources = browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert [name for name in resources if not name.startswith("data:")] == []


def test_a_record_is_opened_with_the_mouse(browser: Any, hostile: str) -> None:
    browser.get(hostile)
    assert not find(browser, "#record").is_displayed()
    find(browser, "#pictures .shot").click()
    dialog = find(browser, "#record")
    assert dialog.is_displayed()
    assert "key\n0\nclass\n</script><script>" in dialog.text
    assert "100 × 100" in dialog.text and "train.rec" in dialog.text and "0.jpg" in dialog.text
    find(browser, "#record button").click()
    assert not dialog.is_displayed()


def test_everything_with_the_keyboard(browser: Any, hostile: str) -> None:
    browser.get(hostile)
    assert press(browser, "TAB").text == "Skip to the contents"
    assert press(browser, "ENTER").get_attribute("id") == "main"
    for _ in range(60):
        active = press(browser, "TAB")
        if active.get_attribute("class") == "shot":
            break
    first = active.get_attribute("aria-label")
    second = press(browser, "ARROW_RIGHT").get_attribute("aria-label")
    assert first != second
    press(browser, "ENTER")
    assert find(browser, "#record").is_displayed()
    assert find(browser, "#record-picture").get_attribute("alt") == second
    press(browser, "ARROW_LEFT")
    assert find(browser, "#record-picture").get_attribute("alt") == first
    active = press(browser, "ESCAPE")
    assert not find(browser, "#record").is_displayed()
    assert active.get_attribute("aria-label") == first, "the focus is where it was"
    groups, stops = browser.execute_script(
        "return [document.querySelectorAll('.shots').length, document.querySelectorAll('.shot[tabindex=\"0\"]').length]"
    )
    assert groups == stops, "a group of pictures is one stop"


def background(browser: Any) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def prefer(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    # The page hears of it with its next frame.
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def test_light_and_dark(browser: Any, hostile: str) -> None:
    prefer(browser, "light")
    browser.get(hostile)
    light, switch = background(browser), find(browser, "#theme")
    assert switch.get_attribute("aria-pressed") == "false"
    prefer(browser, "dark")
    dark = background(browser)
    assert dark != light and switch.get_attribute("aria-pressed") == "true"
    switch.click()
    assert background(browser) == light
    prefer(browser, "light")
    switch.click()
    assert background(browser) == dark
    browser.refresh()
    assert background(browser) == dark, "the choice is kept"
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_everything_has_a_name(browser: Any, hostile: str, scheme: str) -> None:
    prefer(browser, scheme)
    browser.get(hostile)
    assert {name: ratio for name, ratio in browser.execute_script(_CONTRASTS) if ratio < CONTRAST} == {}
    assert browser.execute_script(_NAMELESS) == 0
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert browser.execute_script("return document.querySelectorAll('h1').length") == 1


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, hostile: str, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(hostile)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    find(browser, "#pictures .shot").click()
    assert browser.execute_script("return document.getElementById('record').getBoundingClientRect().right") <= width


def test_without_scripts_the_page_still_shows_everything(browser: Any, hostile: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(hostile)
    assert len(rows(browser)) == 7 and not find(browser, "#theme").is_displayed()
    assert len(browser.find_elements("css selector", "#pictures .shot img")) == 38
