"""The report in a real headless Chromium, as a reader meets it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import coa
from coa.attribution.page import trace_to_html
from coa.attribution.trace import trace
from coa.config import Settings

pytestmark = pytest.mark.slow
READ = ("mark", ".chip", ".facts", ".answer", ".warning", ".unexplained", ".sign", ".legend", "button", "summary a")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
HOSTILE = '<img src=x onerror="window.pwned = 1"></script><script>window.pwned = 1</script><!-- {{ 7 * 7 }}'
FACT = "The treasurer Odalys Brandt hid the <b>ledger</b> beneath the organ & went home."
ANSWER = "Odalys Brandt hid the ledger beneath the organ. Penguins whistle quietly."


@pytest.fixture(scope="module")
def browser() -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: the full test run installs it")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.set_window_size(1200, 900)
    yield started
    started.quit()


async def report(tmp_path: Path, filler: int, name: str = "page.html") -> Path:
    lines = [
        f"On day {i} the ferry crossed the sound with {i % 97} crates of nails and nobody aboard.\n"
        for i in range(filler)
    ]
    lines.insert(2 * filler // 3, FACT + "\n")
    lines.insert(filler // 2, HOSTILE + "\n")
    source = tmp_path / "source.txt"
    source.write_text("\n".join(lines), "utf-8")
    document = coa.load(source)
    given = Settings(model="offline", run_dir=tmp_path / "runs")
    found = await trace("Where <i>is</i> the ledger?", ANSWER, [document], given)
    page = tmp_path / name
    page.write_text(trace_to_html(found, [document]), "utf-8")
    return page


def in_view(browser, element) -> bool:
    return browser.execute_script(
        "const r = arguments[0].getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight;", element
    )


async def test_a_chip_leads_to_its_sentence_and_back(browser, tmp_path: Path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((await report(tmp_path, 900)).as_uri())
    mark = browser.find_element(By.CSS_SELECTOR, "mark#s1")
    assert mark.text == FACT and not in_view(browser, mark)
    assert browser.find_element(By.TAG_NAME, "h1").text == "Where <i>is</i> the ledger?"
    browser.find_element(By.CSS_SELECTOR, ".answer .chip").click()
    WebDriverWait(browser, 10).until(lambda _: in_view(browser, mark))
    browser.find_element(By.CSS_SELECTOR, "mark#s1 + .chip").click()
    claim = browser.find_element(By.ID, "c1")
    WebDriverWait(browser, 10).until(lambda _: in_view(browser, claim))
    browser.find_element(By.TAG_NAME, "body").send_keys("n")
    WebDriverWait(browser, 10).until(lambda _: in_view(browser, mark))
    assert browser.find_element(By.CSS_SELECTOR, ".claim.none + .unexplained").text == "(not explained)"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


async def test_a_claim_filters_the_map_leads_and_keys_work(browser, tmp_path: Path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((await report(tmp_path, 900)).as_uri())
    body, mark = browser.find_element(By.TAG_NAME, "body"), browser.find_element(By.CSS_SELECTOR, "mark#s1")
    claims = browser.find_elements(By.CSS_SELECTOR, ".claim")
    assert [claim.text for claim in claims] == [
        "Odalys Brandt hid the ledger beneath the organ.",
        "Penguins whistle quietly.",
    ]
    browser.find_element(By.CSS_SELECTOR, '.map a[href="#s1"]').click()
    WebDriverWait(browser, 10).until(lambda _: in_view(browser, mark))
    claims[1].click()
    assert "filtered" in body.get_attribute("class") and "on" not in (mark.get_attribute("class") or "").split()
    body.send_keys("c")
    assert "on" in mark.get_attribute("class").split()
    body.send_keys(Keys.ESCAPE)
    assert "filtered" not in body.get_attribute("class")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    body.send_keys("d")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != paper
    place = browser.find_element(By.CSS_SELECTOR, ".map a").location["y"] / browser.execute_script("return innerHeight")
    assert abs(place - 2 / 3) < 0.05  # where the fact stands in the source


async def test_hostile_text_stays_text_and_paper_holds_the_evidence_alone(browser, tmp_path: Path):
    page = await report(tmp_path, 300)
    browser.get(page.as_uri())
    assert browser.execute_script("return window.pwned") is None
    shown = browser.execute_script("return document.querySelector('.source').textContent")
    assert HOSTILE in shown and FACT in shown
    record = browser.execute_script("return JSON.parse(document.getElementById('trace').textContent)")
    assert (
        record["claims"][0]["causes"][0]["quote"]
        == FACT
        == browser.execute_script("return document.querySelector('mark').textContent")
    )
    plain = "return [...document.querySelectorAll('.block.plain')].filter((b) => b.offsetParent !== null).length"
    assert browser.execute_script(plain) > 1
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.execute_script(plain) == 0
        assert browser.execute_script("return document.querySelector('mark').offsetParent !== null")
        assert browser.execute_script("return getComputedStyle(document.querySelector('.map')).display") == "none"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_marks_and_chips_can_be_read(browser, tmp_path: Path, scheme: str):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get((await report(tmp_path, 5)).as_uri())
    for selector in READ:
        ratios = browser.execute_script(CONTRAST, selector)
        assert ratios and min(ratios) >= 4.5, (scheme, selector, ratios)


CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const parse = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
return [...document.querySelectorAll(arguments[0])].map((element) => {
  let behind = element;
  while (behind && parse(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
  const back = getComputedStyle(behind || document.body).backgroundColor;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(parse(back))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
});
"""


async def test_half_a_million_words_open_at_once(browser, tmp_path: Path):
    page = await report(tmp_path, 32_000)
    began = time.monotonic()
    browser.get(page.as_uri())
    loaded = browser.execute_script("return performance.timing.domInteractive - performance.timing.navigationStart")
    assert browser.execute_script("return document.querySelector('.source').textContent.length") > 2_500_000
    assert loaded < 10_000  # Two seconds are the aim; a loaded machine is given five times as many.
    print(f"interactive after {loaded} ms, driver waited {time.monotonic() - began:.1f} s")
