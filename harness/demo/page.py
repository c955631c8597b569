"""The demo's page in a headless Chromium, with a microphone that plays what it is given."""

import base64
import sys
import tempfile
import time

import psutil
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from harness import HarnessError
from harness.browser import browser
from harness.demo.server import Server
from harness.demo.talk import Turn

# The microphone hears what `say` plays, and faint noise: fastrtc does not take digital silence for a pause.
# The rest is for busy hosts. fastrtc's page hangs up when a connection is `disconnected`, as it is after some seconds without an
# answer. Such a connection can recover, so the page is only told when it has `failed`. The microphone sends packets of 60 ms instead
# of 20, because the demo loses the connection if it gets packets faster than it handles them. And the page draws the waves of the
# sound twice a second: without a GPU, every frame would take more computing than the demo does.
MICROPHONE = """
const audio = new AudioContext({sampleRate: 48000}), microphone = audio.createMediaStreamDestination();
const noise = new AudioBufferSourceNode(audio, {loop: true, buffer: audio.createBuffer(1, 48000, 48000)});
noise.buffer.getChannelData(0).forEach((_, n, samples) => samples[n] = (Math.random() - 0.5) * 2e-3);
noise.connect(microphone);
noise.start();
navigator.mediaDevices.getUserMedia = async () => (await audio.resume(), microphone.stream.clone());
window.say = async file => {
  const bytes = Uint8Array.from(atob(file), character => character.charCodeAt(0));
  const words = new AudioBufferSourceNode(audio, {buffer: await audio.decodeAudioData(bytes.buffer)});
  words.connect(microphone);
  words.start();
};
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) { super(...options); window.connection = this; }
  addEventListener(kind, listener) {
    super.addEventListener(kind, event => this.connectionState === 'disconnected' || listener(event));
  }
  setRemoteDescription({type, sdp}) {
    return super.setRemoteDescription({type, sdp: sdp.replace(/a=rtpmap:\\d+ opus.*\\r\\n/i, '$&a=ptime:60\\r\\n')});
  }
};
window.requestAnimationFrame = callback => setTimeout(() => callback(performance.now()), 500);
window.cancelAnimationFrame = clearTimeout;
"""
CONNECTED = "return window.connection?.connectionState === 'connected'"
# The box is emptied as a user could do it by typing.
EMPTY = (
    "const box = document.querySelector('textarea'); box.value = ''; box.dispatchEvent(new Event('input', {bubbles: true}))"
)
# What the page shows, the packets of sound that it has received, their energy, and how the connection is.
NEWS = """
const done = arguments[0];
connection.getStats().then(stats => {
  const sound = [...stats.values()].find(entry => entry.type === 'inbound-rtp' && entry.kind === 'audio');
  const {packetsReceived = 0, totalAudioEnergy = 0} = sound ?? {};
  done([document.querySelector('textarea').value, packetsReceived, totalAudioEnergy, connection.connectionState]);
});
"""
# How many seconds a step of the page and a reply may take, on a busy host.
STEP, REPLY = 180, 600
# A reply is over when the demo has computed for so many seconds without any news. The demo computes all the time: fastrtc asks
# for the next piece of a reply without a pause. On a busy host, where it computes less, this waits longer.
QUIET = 5
PACKET = 0.02  # seconds of sound


def talk(server: Server, url: str, speech: bytes, turns: int) -> list[Turn]:
    """Say the same in each turn of a chat in a browser.

    Args:
        server: the demo
        url: where it serves its page
        speech: an audio file
        turns: how many

    Raises:
        HarnessError: this host has no Chromium, or the talk breaks off
    """
    with tempfile.TemporaryDirectory(prefix="liquid-audio-browser-", ignore_cleanup_errors=True) as profile:
        chromium = browser(
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # it reaches only this host
            f"--user-data-dir={profile}",
        )
        try:
            _connect(chromium, url)
            return [_turn(chromium, server, speech) for _ in range(turns)]
        finally:
            chromium.quit()


def _connect(chromium: webdriver.Chrome, url: str) -> None:
    """Open the page, and connect as a user does."""
    chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": MICROPHONE})
    chromium.get(url)
    wait = WebDriverWait(chromium, STEP, 0.1)
    step = ""
    try:
        for step in ("Click to Access Microphone", "Record"):
            button = (By.XPATH, f"//button[normalize-space()='{step}']")
            wait.until(expected_conditions.element_to_be_clickable(button)).click()
        step = "a connection: WebRTC needs a network interface besides loopback"
        wait.until(lambda _: chromium.execute_script(CONNECTED))
    except TimeoutException as error:
        raise HarnessError(f"the demo's page did not get to {step}") from error


def _turn(chromium: webdriver.Chrome, server: Server, speech: bytes) -> Turn:
    """Say something, and wait until the reply is over."""
    chromium.execute_script(EMPTY)
    seen = _, packets, energy, _ = chromium.execute_async_script(NEWS)
    chromium.execute_script("return say(arguments[0])", base64.b64encode(speech).decode())
    demo = psutil.Process(server.process.pid)
    begin, computed = time.monotonic(), demo.cpu_times()
    while not seen[0] or sum(demo.cpu_times()[:2]) - sum(computed[:2]) < QUIET:
        late = time.monotonic() - begin > REPLY
        if late or seen[3] in ("failed", "closed") or server.process.poll() is not None:
            reason = f"after {REPLY} s" if late else f"the connection is {seen[3]}"
            error = server.exception or "none"
            raise HarnessError(
                f"the reply did not end: {reason}. Try again on a less busy host; last error of the demo: {error}"
            )
        time.sleep(0.2)
        before, seen = seen, chromium.execute_async_script(NEWS)
        if seen != before:
            computed = demo.cpu_times()
    turn = Turn(seen[0], (seen[1] - packets) * PACKET, seen[2] - energy)
    print(f"the page {turn}", file=sys.stderr, flush=True)
    return turn
