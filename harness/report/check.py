"""Open the page in a headless Chromium: `python -m harness.report.check`, in the environment of the lock `browser`.

It fails if the console has messages, if the page requests anything, or if it scrolls sideways on a phone or on a desktop.
"""

import sys
from pathlib import Path

from harness import OUT, HarnessError
from harness.browser import browser
from harness.command import status


def check(page: Path) -> list[str]:
    """Open the page at two widths, and return the problems.

    Raises:
        HarnessError: there is no page, or no browser
    """
    if not page.is_file():
        raise HarnessError("there is no page yet: run `nox -s verdict` first")
    chromium, problems = browser(), []
    try:
        for width in (360, 1280):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            chromium.get(page.resolve().as_uri())
            problems += [f"the console says {entry['message']}" for entry in chromium.get_log("browser")]
            asked = chromium.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
            problems += [f"the page requests {name}" for name in asked if not name.startswith("data:")]
            chromium.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
            if (taken := chromium.execute_script("return document.documentElement.scrollWidth")) > width:
                problems.append(f"the page scrolls sideways: it is {taken} px wide in a window of {width} px")
    finally:
        chromium.quit()
    return problems


def main() -> bool:
    """Check out/report.html, and say whether it has no problems."""
    problems = check(OUT / "report.html")
    print("\n".join(problems) or "the page has no problems")
    return not problems


if __name__ == "__main__":
    sys.exit(status(main))
