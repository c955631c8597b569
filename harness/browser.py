"""The headless Chromium that checks the page and the demo. The host must have one."""

import shutil

from selenium import webdriver

from harness import HarnessError


def browser(*more: str) -> webdriver.Chrome:
    """Start a headless Chromium.

    Args:
        more: further command-line arguments for Chromium

    Raises:
        HarnessError: this host has no Chromium, or no driver for it
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
    # The driver gets its own process session, so that Ctrl-C reaches only this process, which then quits the driver.
    service = webdriver.ChromeService(driver, popen_kw={"start_new_session": True})
    return webdriver.Chrome(options=options, service=service)
