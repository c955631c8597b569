"""A Chromium without a window, which the host has to have: what the page and the demo are looked at with."""

import shutil

from selenium import webdriver

from harness import HarnessError


def browser(*more: str) -> webdriver.Chrome:
    """Start a Chromium without a window.

    Args:
        more: further arguments for it

    Raises:
        HarnessError: this host has none, or no driver for it
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    binary, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (binary and driver):
        missing = "chromedriver" if binary else "Chromium"
        raise HarnessError(
            f"this host has no {missing}: install it, on Debian with `apt-get install chromium chromium-driver`"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu", *more):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # A session of its own, so that Ctrl-C reaches this process alone, which then quits it.
    service = webdriver.ChromeService(driver, popen_kw={"start_new_session": True})
    return webdriver.Chrome(options=options, service=service)
