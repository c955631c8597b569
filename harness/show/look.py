"""Check the page in a real Chromium: `python -m harness.show.look`, in the environment of the lock `browser`.

It takes screenshots. It fails if the console has messages, if the page requests a resource, scrolls sideways, has too little
contrast or cells too small to touch, or if the details of a cell do not open by keyboard and close by Esc and by their button.
"""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import OUT, ROOT, HarnessError
from harness.browser import browser
from harness.command import status

WIDTHS = (360, 768, 1280)
THEMES = ("light", "dark")
# The limits of WCAG 2.2 for level AA.
CONTRAST, TOUCH = 4.5, 24

# Text whose contrast is below CONTRAST, from its own colour and the first background colour among its ancestors.
FAINT = """
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; } };
const faint = new Set();
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
  const [a, b] = [parse(getComputedStyle(e).color), behind(e)].map(light).sort((a, b) => b - a);
  if ((a + .05) / (b + .05) < arguments[0]) faint.add(`${e.tagName} ${e.className} ${((a + .05) / (b + .05)).toFixed(2)}: ${e.textContent.slice(0, 40)}`);
}
return [...faint];
"""
SMALL = """
return [...document.querySelectorAll('.grid td button')].map(e => e.getBoundingClientRect())
  .filter(box => box.width && Math.min(box.width, box.height) < arguments[0]).length;
"""


def look(page: Path, pictures: Path) -> list[str]:
    """Open the page at every width, in light and in dark, take a screenshot of each, and return the problems.

    Raises:
        HarnessError: there is no page, or no browser
    """
    if not page.is_file():
        raise HarnessError("there is no page yet: run `nox -s verdict` first")
    pictures.mkdir(parents=True, exist_ok=True)
    chromium = browser()
    try:
        problems = []
        for theme in THEMES:
            for width in WIDTHS:
                print(f"looking at {page.name}, {width} px wide, {theme}", file=sys.stderr)
                _open(chromium, page, width, theme)
                problems += [f"{width} px, {theme}: {problem}" for problem in _problems(chromium, width)]
                _photograph(chromium, pictures / f"{width}-{theme}.png")
                problems += [f"{width} px, {theme}: {problem}" for problem in _follow_a_cell(chromium)]
                chromium.save_screenshot(str(pictures / f"{width}-{theme}-cell.png"))
        return problems
    finally:
        chromium.quit()


def _open(chromium: webdriver.Chrome, page: Path, width: int, theme: str) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chromium.get("about:blank")
    chromium.get(page.resolve().as_uri())


def _problems(chromium: webdriver.Chrome, width: int) -> Iterator[str]:
    """Find problems of the open page, with everything unfolded."""
    for entry in chromium.get_log("browser"):
        yield f"the console says {entry['message']}"
    for entry in chromium.execute_script("return performance.getEntriesByType('resource').map(e => e.name)"):
        yield f"the page requests {entry}"
    chromium.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    # Not innerWidth, which grows on a phone if the content does not fit.
    if (taken := chromium.execute_script("return document.documentElement.scrollWidth")) > width:
        yield f"the page scrolls sideways: it is {taken} px wide"
    for text in chromium.execute_script(FAINT, CONTRAST):
        yield f"too little contrast, {text}"
    if small := chromium.execute_script(SMALL, TOUCH):
        yield f"{small} cells are smaller than {TOUCH} px"
    chromium.execute_script("document.querySelectorAll('details').forEach(e => e.open = false)")


def _follow_a_cell(chromium: webdriver.Chrome) -> Iterator[str]:
    """Open the details of a cell by keyboard, close them by Esc and by their button, and open them again."""
    cell = chromium.find_element(By.CSS_SELECTOR, ".grid td button")
    chromium.execute_script("arguments[0].closest('details').open = true; arguments[0].focus()", cell)
    details = chromium.find_element(By.ID, str(cell.get_attribute("popovertarget")))
    for leave in (Keys.ESCAPE, Keys.ENTER):
        cell.send_keys(Keys.ENTER)
        if not details.is_displayed():
            yield "a cell does not open its details"
            return
        if chromium.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", details):
            yield "the details of a cell scroll sideways"
        yield from (f"too little contrast, {text}" for text in chromium.execute_script(FAINT, CONTRAST))
        chromium.switch_to.active_element.send_keys(leave)
        if details.is_displayed() or chromium.switch_to.active_element != cell:
            yield f"{'Esc' if leave == Keys.ESCAPE else 'Close'} in the details of a cell does not return to the cell"
    cell.send_keys(Keys.ENTER)


def _photograph(chromium: webdriver.Chrome, file: Path) -> None:
    """Take a screenshot of the whole page, however long it is."""
    size = chromium.execute_script("const e = document.documentElement; return [innerWidth, e.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    shot = chromium.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    file.write_bytes(base64.b64decode(shot["data"]))


def main() -> bool:
    """Check out/report.html, and say whether it has no problems."""
    page, pictures = OUT / "report.html", OUT / "page"
    problems = look(page, pictures)
    print("", *(f"- {problem}" for problem in problems), sep="\n")
    print(
        f"{len(problems)} problems"
        if problems
        else f"the page has no problems; screenshots are in {pictures.relative_to(ROOT)}"
    )
    return not problems


if __name__ == "__main__":
    sys.exit(status(main))
