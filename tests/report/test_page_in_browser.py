"""The page in Chromium, opened from its file."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from simopt.analysis import sensitivity
from simopt.ranges import result as joint
from simopt.ranges.pair import Implied
from simopt.ranges.region import Region
from simopt.ranges.square import Reached, Settled
from simopt.report.page import save_page
from simopt.store import analysis
from simopt.store.reader import Run
from simopt.theory.sensitivity import Local, Sensitivity
from tests.report.test_page import EVIL, collected, made_up

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    missing = " and ".join(name for name in ("chromium", "chromedriver") if not shutil.which(name))
    remedy = "install both, on Debian and Ubuntu by: apt-get install chromium chromium-driver"
    pytest.skip(f"needs {missing}, not on the PATH; {remedy}", allow_module_level=True)
FLAGS = (
    "headless no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update "
    "disable-sync"
)
LABEL = "an \"odd\" <b>label</b> & 'more'"
DESK, PHONE = 1280, 390
K, D, LEVELS, STRENGTHS = 6, 5, 4, (30.0, 90.0)
SHOWN = 3  # PCs 1, 2 and 5

FACTS = """
const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const behind = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const color = rgb(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
};
const contrast = (e) => {
  const ink = getComputedStyle(e)[e instanceof SVGElement ? "fill" : "color"];
  const [a, b] = [light(rgb(ink)), light(behind(e))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
const texts = [...document.querySelectorAll("body *")].filter((e) => shown(e) && !e.matches("script, style")
  && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
"""


def run(**changes) -> Run:
    """A run with two replicates, decoded along the way."""
    base = made_up(**{"T": 40, "K": K, **changes})
    halves = np.full((2, K), np.nan)
    halves[:, :3] = [[0.3, 0.4, 0.5], [0.3, 0.4, np.nan]]
    step = np.linspace(0, base.step[-1], D).round().astype(int)
    facts = {"accuracy": 0.9, "chance": 0.5, "classes": 2, "folds": 5, "over_time": np.array([0.9])}
    return replace(
        base,
        pc_variance=0.5 ** np.arange(1.0, K + 1),
        half_capture=halves,
        decoding_step=step,
        decoding={LABEL: np.column_stack([np.linspace(0.5, 0.9, D), np.linspace(0.5, 0.8, D)])},
        reference_decoding={LABEL: facts},
    )


def single(source: Run, seed: int) -> Run:
    return replace(
        source,
        attributes={**source.attributes, "seeds": np.array([seed])},
        score=source.score[:, :1],
        captured_variance=source.captured_variance[:, :1],
        half_capture=source.half_capture[:1],
        decoding={name: values[:, :1] for name, values in source.decoding.items()},
    )


def sensitivities(folder: Path) -> list[sensitivity.Sensitivities]:
    theory = np.linspace(0.2, 0.9, len(STRENGTHS) * K).reshape(-1, K)
    local = Local(np.full(K, 2.0), np.ones(K), 3.0, 1.0, "closed form")
    draws = theory[..., None] + np.array([-0.01, 0.0, 0.01])
    draws[:, 4] = np.nan
    full = Sensitivity("cka", 1.0, theory, theory - 0.01, np.full_like(theory, 0.02), draws, local)
    tried = Sensitivity("mine", 1.0, None, None, None, draws, local)
    same = ("d", "real", "rotation", list(STRENGTHS), 3, 0.5 ** np.arange(1.0, K + 1))
    made = sensitivity.Sensitivities(*same, [full, tried], {"rsa": EVIL}, folder / "sensitivity.h5", "done")
    assert made.path is not None
    about = {"config": f"name: {EVIL}", "data_hash": "beef", "versions": "{}"}
    stored = sensitivity.content(made)
    attributes = {**about, **stored.attributes}
    analysis.write(made.path, sensitivity.ANALYSIS, replace(stored, attributes=attributes))
    return [made]


def joints(folder: Path) -> list[joint.JointRange]:
    at, none = np.linspace(0, 1, LEVELS), np.empty((0, 2))
    largest = at.copy()
    largest[1] = np.nan
    twos = np.full((LEVELS, 2), 0.1)
    region = Region(("cka", "nbs"), (1, 1), at, at**2, largest, twos, twos, none)
    targets = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    end = np.array([[0.1, 0.05], [0.8, 0.2], [np.nan, np.nan]])
    settled = (Settled.REACHED, Settled.STALLED, Settled.NOT_FINITE)
    square = Reached(targets, targets, end, end, settled, np.ones(3), np.zeros((1, 3, 2)), none)
    same = {"dataset": "noise", "source": "surrogate", "names": ("cka", "nbs"), "data_hash": "cafe"}
    made = [
        joint.JointRange(
            mode="boundary",
            path=folder / "region.h5",
            region=region,
            proved=np.column_stack([at, at**3, np.ones(LEVELS)]),
            implied=[Implied("cka", "nbs", 0.9, 0.8, 0.9)],
            **same,
        ),
        joint.JointRange(mode="square", path=folder / "square.h5", square=square, **same),
    ]
    for each in made:
        about = {"config": "mode: any", "data_hash": "cafe", "versions": "{}"}
        stored = joint.content(each)
        analysis.write(each.path, joint.ANALYSIS, replace(stored, attributes={**about, **stored.attributes}))
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"user-data-dir={folder / 'profile'}"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    odd = replace(single(run(name=EVIL, measure="nbs", T=7), 3), path=Path(EVIL.replace("/", "|")) / "run.h5")
    alone = run(source="surrogate", measure="linreg")
    second = replace(alone, score=alone.score[:, ::-1], decoding={LABEL: alone.decoding[LABEL][:, ::-1]})
    second = replace(single(second, 4), path=Path("o/real-f00/run.h5"))
    runs = [run(), odd, single(alone, 3), second]
    found = collected(runs, broken=[EVIL], sensitivities=sensitivities(folder), joints=joints(folder))
    page = save_page(found, folder / "page.html")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get("about:blank")
        driver.get_log("performance")
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def drawn(browser):
    """The page at the width of a desk, its runs unfolded and all plots drawn."""
    resize(browser, DESK)
    emulate(browser, "light")
    browser.execute_script(
        "document.querySelectorAll('details').forEach(d => { d.open = d.matches('[id^=run-]') })"
    )
    draw_all(browser)
    return browser


def resize(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def emulate(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def draw_all(browser):
    """Scroll through the page until every plot is drawn, at the width and in the colors it should have."""
    assert browser.execute_async_script(
        """
        const [done] = arguments;
        const paper = (element) => getComputedStyle(element).backgroundColor;
        const ready = (place) => {
          const svg = place.querySelector('.main-svg');
          return svg && Number(svg.getAttribute('width')) === place.clientWidth
            && paper(svg) === paper(document.body) && place.querySelector('.scatterlayer .trace') !== null;
        };
        const frame = () => new Promise((next) => requestAnimationFrame(next));
        (async () => {
          for (const place of document.querySelectorAll('.plot')) {
            if (ready(place)) continue;
            place.scrollIntoView();
            for (let tries = 0; tries < 200; tries += 1) {
              await frame();
              if (ready(place)) break;
            }
          }
          scrollTo(0, 0);
          done([...document.querySelectorAll('.plot')].every(ready));
        })();
        """
    )


def facts(browser, script):
    return browser.execute_script(f"{FACTS}\nreturn {script}")


def column(browser, table, at):
    return browser.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".map(r => r.cells[arguments[1]].innerText)",
        table,
        at,
    )


def marks(browser):
    """What is drawn: title, and how many lines, points, areas and error bars."""
    return browser.execute_script(
        """
        const kinds = ['path.js-line', 'path.point', 'path.js-fill', 'path.yerror'];
        const seen = (e) => e.getAttribute('d') && (!e.matches('.js-line') || e.style.strokeWidth !== '0px');
        return [...document.querySelectorAll('figure')].map((f) => [f.querySelector('h3, h4').textContent,
          ...kinds.map((kind) => [...f.querySelectorAll(`.scatterlayer ${kind}`)].filter(seen).length)]);
        """
    )


def test_every_mark_is_there(drawn):
    odd, label = f"{EVIL} (real)", f"decoding of {LABEL}"
    assert marks(drawn) == [
        [f"{odd}: score against step", 1, 0, 0, 0],
        ["d (real): score against step", 1, 0, 1, 0],
        ["d (surrogate): score against step", 1, 0, 1, 0],
        [f"{odd}: score at half capture of each PC", 0, 3, 0, 0],
        ["d (real): score at half capture of each PC", 0, 3, 0, 3],
        ["d (surrogate): score at half capture of each PC", 0, 3, 0, 3],
        [f"{odd}: {label}", 3, D, 0, 0],  # the recording and chance are lines, too
        [f"d (real): {label}", 3, 0, 1, 0],
        [f"d (surrogate): {label}", 3, 0, 1, 0],
        ["d (real): rotation 30° of one PC", 1, 2 * (K - 1), 1, 2 * (K - 1)],
        ["d (real): rotation 90° of one PC", 1, 2 * (K - 1), 1, 2 * (K - 1)],
        ["noise (surrogate), cka and nbs: scores found together", 3, 2 * LEVELS - 1, 1, 2 * LEVELS - 1],
        ["noise (surrogate), cka and nbs: scores found together", 0, 3 + 2, 0, 0],
        [f"{odd}, nbs, seed 3: captured variance", SHOWN + 1, 0, 0, 0],  # the noise floor is a line, too
        ["d (real), cka, seeds 3, 4: captured variance", 2 * SHOWN + 1, 0, 0, 0],
        ["d (surrogate), linreg, seed 3: captured variance", SHOWN + 1, 0, 0, 0],
        ["d (surrogate), linreg, seed 4: captured variance", SHOWN + 1, 0, 0, 0],
    ]


def test_nothing_is_asked_for_and_nothing_goes_wrong(browser):
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert asked
    assert all(url.startswith(("file://", "data:", "about:")) for url in asked)


def test_text_stays_text(drawn):
    browser = drawn
    assert facts(browser, "document.querySelectorAll('main script:not([type]), main b, .plot b').length") == 0
    assert f"{EVIL} (real)" in column(browser, "runs-table", 0)
    assert LABEL in column(browser, "good-table", 3)
    assert facts(browser, "document.body.innerText").count(EVIL) > 3
    titles = facts(browser, "[...document.querySelectorAll('.gtitle')].map((e) => e.textContent)")
    assert any(LABEL.replace(" ", "") in each.replace(" ", "") for each in titles)


def test_tables_sort_by_click_and_by_key(browser):
    button = browser.find_elements("css selector", "#runs-table th button")[5]
    button.click()
    assert column(browser, "runs-table", 5) == ["6", "39", "39", "39"]
    button.send_keys("\ue007")
    assert column(browser, "runs-table", 5) == ["39", "39", "39", "6"]
    button.send_keys(" ")
    assert column(browser, "runs-table", 5) == ["6", "39", "39", "39"]
    head = browser.find_elements("css selector", "#runs-table th")[5]
    assert head.get_attribute("aria-sort") == "ascending"
    told = browser.find_element("id", "runs-table-sorted").get_attribute("textContent")
    assert told == "Sorted by steps, ascending"


def test_what_is_missing_sorts_last(browser):
    browser.execute_script(
        "const cells = [...document.querySelectorAll('#runs-table tbody tr')].map(r => r.cells[6]);"
        "cells[1].removeAttribute('data-value'); cells[1].textContent = '';"
        "[10, 9, -1].forEach((v, i) => { const c = cells[[0, 2, 3][i]];"
        "  c.dataset.value = v; c.textContent = v })"
    )
    button = browser.find_elements("css selector", "#runs-table th button")[6]
    button.click()
    assert column(browser, "runs-table", 6) == ["-1", "9", "10", ""]
    button.click()
    assert column(browser, "runs-table", 6) == ["10", "9", "-1", ""]


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(drawn):
    from selenium.webdriver.common.action_chains import ActionChains

    expected = facts(
        drawn,
        "[...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')].filter(shown)"
        ".map((e) => e.outerHTML)",
    )
    drawn.execute_script("document.body.tabIndex = -1; document.body.focus()")
    drawn.execute_script("document.body.removeAttribute('tabindex')")
    reached, outlines = [], []
    for _ in expected:
        ActionChains(drawn).send_keys("\ue004").perform()
        markup, *outline = drawn.execute_script(
            "const e = document.activeElement; const bar = e.closest('.modebar');"
            " return [e, bar ?? e].map((at) => getComputedStyle(at)).map((style, at) =>"
            " at ? style.opacity : style.outlineStyle).toSpliced(0, 0, e.outerHTML)"
        )
        reached.append(markup)
        outlines.append(tuple(outline))
    assert reached == expected
    assert set(outlines) == {("solid", "1")}
    assert 'class="skip"' in reached[0]


def test_the_skip_link_leads_to_the_content(browser):
    link = browser.find_element("css selector", ".skip")
    browser.execute_script("arguments[0].focus()", link)  # it is out of sight until the keyboard reaches it
    link.send_keys("\ue007")
    assert browser.execute_script("return document.activeElement.id") == "main"


def test_details_open_by_key_and_links_open_what_they_lead_to(browser):
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = false })")
    links = browser.find_elements("css selector", "main a[href^='#analysis-']")
    assert len(links) == 3
    links[0].send_keys("\ue007")
    holder = browser.find_element("id", "analysis-1")
    assert holder.get_attribute("open") is not None
    config, provenance = holder.find_elements("css selector", ":scope > details > summary")
    config.send_keys("\ue007")
    assert f"name: {EVIL}" in holder.text
    provenance.send_keys(" ")
    assert "beef" in holder.text


def test_every_plot_has_a_sentence_and_a_table_of_its_numbers(drawn):
    browser = drawn
    holders = browser.find_elements("css selector", ".data")
    assert len(holders) == len(browser.find_elements("css selector", ".plot"))
    for holder in holders:
        holder.find_element("css selector", "summary").send_keys("\ue007")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert all(holder.find_elements("css selector", "td") for holder in holders)
    for plot in browser.find_elements("css selector", ".plot"):
        for name in ("aria-labelledby", "aria-describedby"):  # the first is HTML's spelling, also in America
            target = browser.find_element("id", plot.get_attribute(name))
            assert len(target.get_attribute("textContent")) > 10
    half = browser.find_elements("css selector", ".data")[4]
    rows = [row.text.split() for row in half.find_elements("css selector", "tbody tr")]
    assert rows[:2] == [["1", "0.5", "0.3", "0.3", "0.3", "0"], ["2", "0.25", "0.4", "0.4", "0.4", "0"]]
    assert rows[2:4] == [["3", "0.125", "0.5", "0.5", "0.5", "1"], ["4", "0.0625", "2"]]


def papers(browser):
    return browser.execute_script(
        "return [document.body, ...document.querySelectorAll('.plot .main-svg:first-child')]"
        ".map(e => getComputedStyle(e).backgroundColor)"
    )


def test_dark_mode_takes_the_plots_along(drawn):
    light = papers(drawn)
    button = drawn.find_element("id", "theme")
    button.click()
    draw_all(drawn)
    assert button.get_attribute("aria-pressed") == "true"
    dark = papers(drawn)
    assert len(set(light)) == len(set(dark)) == 1
    assert light[0] == "rgb(255, 255, 255)" != dark[0]
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    drawn.execute_script("delete document.documentElement.dataset.theme")
    emulate(drawn, "dark")
    draw_all(drawn)
    assert papers(drawn) == dark
    assert button.get_attribute("aria-pressed") == "true"


def test_text_stands_out(drawn):
    for scheme in ("light", "dark"):
        emulate(drawn, scheme)
        draw_all(drawn)
        drawn.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
        poor = "texts.map((e) => [contrast(e), e.outerHTML.slice(0, 80)]).filter(([c]) => c < 4.5)"
        assert facts(drawn, poor) == []
        assert facts(drawn, "texts.length") > 300


# Before the page gets as narrow as a phone: after that all plots would have to be drawn once more.
def test_a_wide_page_shows_whole_plots(drawn):
    assert cut(drawn) == []


def test_a_phone_needs_no_sideways_scrolling(drawn):
    resize(drawn, PHONE)
    draw_all(drawn)
    drawn.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert drawn.execute_script("return document.documentElement.scrollWidth") == PHONE
    beyond = facts(
        drawn,
        "[...document.querySelectorAll('.plot, .scroll, figcaption, .main-svg, h1, pre, .data > div')]"
        f".filter((e) => shown(e) && e.getBoundingClientRect().right > {PHONE}).map((e) => e.className)",
    )
    assert beyond == []
    scrolled = "const box = document.querySelector('.scroll'); box.scrollLeft = 50; return box.scrollLeft"
    assert drawn.execute_script(scrolled) == 50
    assert cut(drawn) == []


def cut(browser):
    """Return the plots that are not as tall as what is in them."""
    return facts(
        browser,
        "[...document.querySelectorAll('.plot')].filter((p) => p.clientHeight !== p.scrollHeight)"
        ".map((p) => p.id)",
    )


def test_headings_do_not_skip_a_level(browser):
    levels = facts(
        browser, "[...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))"
    )
    assert all(after - before <= 1 for before, after in pairwise(levels))
