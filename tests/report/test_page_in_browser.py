"""The page in Chromium, opened from its file."""

import json
import shutil

import pytest

from simopt.report.page import save_page
from tests.report.test_page import EVIL, made_up

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    pytest.skip("chromium or chromedriver is not installed", allow_module_level=True)
FLAGS = (
    "headless no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update "
    "disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"user-data-dir={folder / 'profile'}"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    page = save_page([made_up(T=40), made_up(EVIL, measure="nbs", T=7)], [], [], [], folder / "page.html")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get("about:blank")
        driver.get_log("performance")
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


def column(browser, at):
    return browser.execute_script(
        "return [...document.querySelectorAll('#runs-table tbody tr')]"
        ".map(r => r.cells[arguments[0]].innerText)",
        at,
    )


def test_plots_are_drawn_and_nothing_is_asked_for(browser):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("document.querySelectorAll('.plot').forEach(p => p.scrollIntoView())")
    for place in browser.find_elements("css selector", ".plot"):
        browser.execute_script("arguments[0].scrollIntoView()", place)
        WebDriverWait(browser, 10).until(
            lambda _, p=place: p.find_elements("css selector", ".scatterlayer .trace")
        )
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file://", "data:")) for url in asked)


def test_a_table_sorts_by_click_and_by_key(browser):
    button = browser.find_elements("css selector", "#runs-table th button")[5]
    browser.execute_script("arguments[0].click()", button)
    assert column(browser, 5) == ["6", "39"]
    button.send_keys("\ue007")
    assert column(browser, 5) == ["39", "6"]
    head = browser.find_elements("css selector", "#runs-table th")[5]
    assert head.get_attribute("aria-sort") == "descending"
    assert button.value_of_css_property("outline-style") == "solid"


def test_dark_follows_the_button(browser):
    def paper():
        return browser.execute_script(
            "return [getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('#plot-0 .main-svg').style.background]"
        )

    before = paper()
    browser.execute_script("document.getElementById('theme').click()")
    after = paper()
    assert before[0] != after[0]
    assert before[1] != after[1]
