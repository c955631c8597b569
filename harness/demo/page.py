"""The demo's page in a headless Chromium, with a recording for its microphone."""

import html
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness import HarnessError
from harness.browser import browser
from harness.demo.host import Server, say
from harness.demo.talk import Heard, Turn, chats

SIZE = 720, 560
BUTTON = "//button[normalize-space()='{}']"
# How long one turn may take, in seconds.
PATIENCE = 60
# How often to ask for a connection: the demo serves one at a time, and takes a moment to close the last.
REFUSALS = 4
# How often to click «Reset chat»: on a busy host a click was lost once.
RESETS = 3

# Keeps the connections of the page, what the demo says through them, and each text of the box, with the time.
LISTEN = """
window.connections = []; window.said = []; window.texts = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) { super(...options); connections.push(this); }
  createDataChannel(...options) {
    const channel = super.createDataChannel(...options);
    channel.addEventListener('message', event => said.push([performance.now(), event.data]));
    return channel;
  }
};
setInterval(() => {
  const box = document.querySelector('textarea');
  if (box && box.value !== (texts.at(-1) ?? [0, ''])[1]) texts.push([performance.now(), box.value]);
}, 20);
"""
# Empties the box, as a user could by typing.
WIPE = """
const box = document.querySelector('textarea');
box.value = '';
box.dispatchEvent(new Event('input', {bubbles: true}));
window.said = []; window.texts = [];
return performance.now();
"""
# Text in the box counts if it was written after the demo heard a pause.
HEARD = """
const messages = said.map(([at, data]) => [at, JSON.parse(data)]);
const paused = (messages.find(([, m]) => m.data === 'pause_detected') ?? [Infinity])[0];
const written = texts.map(([at]) => at).filter(at => at > paused);
const last = Math.max(arguments[0], ...said.map(([at]) => at), ...written);
return {
  text: written.length ? document.querySelector('textarea').value : '',
  said: messages.map(([, m]) => [m.type ?? '', String(m.message ?? m.data ?? '')]),
  quiet: (performance.now() - last) / 1000,
  seconds: written.length ? (written.at(-1) - arguments[0]) / 1000 : 0,
};
"""
SOUND = """
const done = arguments[arguments.length - 1];
connections.at(-1).getStats().then(stats => {
  const received = [...stats.values()].find(entry => entry.type === 'inbound-rtp' && entry.kind === 'audio');
  done(received ? [received.packetsReceived, received.totalAudioEnergy] : [0, 0]);
}, () => done([0, 0]));
"""


@contextmanager
def chromium(recording: Path) -> Iterator[webdriver.Chrome]:
    """Start a Chromium whose microphone hears a recording, and which reaches only this host; quit it at the end.

    Raises:
        HarnessError: this host has no Chromium, or no driver for it
    """
    started = browser(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={recording.parent / 'chromium'}",
    )
    try:
        size = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        started.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield started
    finally:
        started.quit()


class Page:
    """The demo's page, open and with access to the microphone."""

    def __init__(self, browser: webdriver.Chrome, server: Server, pictures: Path) -> None:
        """Open the page.

        Args:
            browser: the browser that shows it
            server: the demo
            pictures: folder and prefix of the pictures

        Raises:
            HarnessError: it is not the page that is expected
        """
        self.browser, self.server, self.pictures = browser, server, pictures
        pictures.parent.mkdir(parents=True, exist_ok=True)
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
        browser.get(server.url)
        self._click("Click to Access Microphone")
        self._button("Record")
        self.photograph("1-page")

    def turn(self, name: str) -> Turn:
        """Say the recording once on a new connection, and wait until the reply is over.

        Args:
            name: name of its picture

        Raises:
            HarnessError: the page does not connect, or the demo has stopped
        """
        known = len(chats(self.server.log))
        heard, seconds = self._hear(self._record())
        self.photograph(name)
        packets, energy = self.browser.execute_async_script(SOUND)
        self._click("Stop")
        self._button("Record")
        began = chats(self.server.log)[known:]
        turn = Turn(heard, began[0] if began else None, seconds, packets, energy)
        say(f"{name}: the page wrote {heard.text!r} after {seconds:.0f} s; the browser heard {turn.sound}")
        return turn

    def reset(self, notes: list[str]) -> bool:
        """Click «Reset chat», again if the box stays as it is, and return whether it is empty then; `notes` gets each further click."""
        for n in range(RESETS):
            if n:
                notes.append("«Reset chat» did nothing, and was clicked again")
            self._click("Reset chat")
            if self._until(lambda _: not self.browser.execute_script("return document.querySelector('textarea').value"), 10):
                time.sleep(1)  # the new chat comes with the empty box, or a little later
                return True
        return False

    def photograph(self, name: str) -> None:
        self.browser.save_screenshot(f"{self.pictures}-{name}.png")

    def _record(self) -> float:
        """Empty the box and click «Record», again while the last connection is open. Returns when, by the page's clock."""
        for _ in range(REFUSALS):
            time.sleep(1.5)
            start = float(self.browser.execute_script(WIPE))
            self._click("Record")
            time.sleep(1)
            self._until(lambda _: self._connected() or self._shows("Record"), 15)
            if self._connected():
                return start
            if not self._shows("Record"):
                break
        raise HarnessError("the page does not connect to the demo: WebRTC needs a network interface besides loopback")

    def _hear(self, start: float) -> tuple[Heard, float]:
        end = time.monotonic() + PATIENCE
        while True:
            seen = self.browser.execute_script(HEARD, start)
            heard = Heard(seen["text"], tuple(map(tuple, seen["said"])), seen["quiet"])
            if heard.over or time.monotonic() > end:
                return heard, seen["seconds"]
            if self.server.process.poll() is not None:
                raise HarnessError(f"the demo stopped during a turn: {self.server.log.strip()[-200:]!r}")
            time.sleep(0.1)

    def _connected(self) -> bool:
        return bool(self.browser.execute_script("return said.length > 0"))

    def _shows(self, words: str) -> bool:
        return any(button.is_displayed() for button in self.browser.find_elements(By.XPATH, BUTTON.format(words)))

    def _button(self, words: str) -> Any:
        if not self._until(lambda _: self._shows(words), 20):
            raise HarnessError(f"the demo's page has no button {words!r}: it is not that of the locked gradio and fastrtc")
        return next(e for e in self.browser.find_elements(By.XPATH, BUTTON.format(words)) if e.is_displayed())

    def _click(self, words: str) -> None:
        self._button(words).click()

    def _until(self, holds: Any, seconds: float) -> bool:
        try:
            return bool(WebDriverWait(self.browser, seconds, 0.1).until(holds))
        except TimeoutException:
            return False


def photograph_death(browser: webdriver.Chrome, log: str, url: str, pictures: Path) -> None:
    """Take pictures of a demo that does not start: of its terminal, and of what the browser finds.

    Args:
        browser: the browser that takes them
        log: what the demo printed
        url: where its page would be
        pictures: folder and prefix of the pictures
    """
    pictures.parent.mkdir(parents=True, exist_ok=True)
    lines = html.escape("\n".join(log.rstrip().splitlines()[-14:]))
    style = "background:#1e1e1e;color:#ddd;font:13px/1.4 monospace;padding:8px;white-space:pre-wrap;overflow-wrap:anywhere"
    document = f"<meta charset=utf-8><body style='{style}'>$ liquid-audio-demo\n{lines}\n$ "
    browser.get(f"data:text/html;charset=utf-8,{quote(document)}")
    browser.save_screenshot(f"{pictures}-1-terminal.png")
    try:
        browser.get(url)
    except WebDriverException:  # there is nothing, and the picture shows that
        browser.save_screenshot(f"{pictures}-2-browser.png")
