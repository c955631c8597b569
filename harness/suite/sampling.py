"""A pytest plugin for `harness.lane.profile`: it samples what the tests are doing a hundred times a second."""

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import pytest

INTERVAL = 0.01  # seconds
# What a process is doing, by its innermost frame that is listed here: the end of the file's path, and a function, * for any.
DOING = {
    "import": (("importlib._bootstrap>", "*"), ("_bootstrap_external>", "*")),
    "load": (
        *(("processor.py", "from_pretrained"), ("processor.py", "mimi"), ("processor.py", "audio_detokenizer")),
        *(("lfm2_audio.py", "from_pretrained"), ("harness/package/checkpoint.py", "*")),
    ),
    "mel": (("processor.py", "add_audio"),),
    "encode": (("lfm2_audio.py", "_prefill"),),
    "decode": (
        ("lfm2_audio.py", "generate_sequential"),
        ("lfm2_audio.py", "generate_interleaved"),
        ("processor.py", "decode"),
    ),
    "programs": (("/subprocess.py", "*"), ("/concurrent/futures/_base.py", "result"), ("/conftest.py", "ask")),
    "waiting": (("remote.py", "get"), ("/filelock/_api.py", "*")),
    "tests": (("/_pytest/python.py", "pytest_pyfunc_call"), ("/_pytest/fixtures.py", "call_fixture_func")),
}
PLACES = [(end, function, kind) for kind, places in DOING.items() for end, function in places]
KINDS = ("start", *DOING, "pytest")


def doing(frame: FrameType | None) -> str:
    """Say what a stack of frames is doing, from its innermost one outwards."""
    while frame:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        for end, name, kind in PLACES:
            if name in ("*", function) and file.endswith(end):
                return kind
        frame = frame.f_back
    return "pytest"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sampled", type=Path, help="folder in which each process that runs tests writes its seconds, by what it did"
    )
    parser.addoption("--since", type=float, help="when the run began, in seconds since the epoch")


class Sampler(threading.Thread):
    """Samples the main thread until it is stopped."""

    def __init__(self, start: float) -> None:
        super().__init__(daemon=True)
        self._stop_it = threading.Event()
        self._seconds = defaultdict(float, start=start)

    def run(self) -> None:
        """Add the time since the last sample to what is being done."""
        main, last = threading.main_thread().ident, time.monotonic()
        while not self._stop_it.wait(INTERVAL):
            kind, now = doing(sys._current_frames().get(main or 0)), time.monotonic()
            self._seconds[kind] += now - last
            last = now

    def stop(self) -> dict[str, float]:
        """End, and return the seconds."""
        self._stop_it.set()
        self.join()
        return dict(self._seconds)


SAMPLER = pytest.StashKey[Sampler]()


def pytest_configure(config: pytest.Config) -> None:
    """Start sampling, except in a process that leaves the tests to workers."""
    if hasattr(config, "workerinput") or not config.getoption("tx"):
        sampler = config.stash[SAMPLER] = Sampler(time.time() - config.getoption("since"))
        sampler.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what this process did."""
    if sampler := config.stash.get(SAMPLER, None):
        worker = getattr(config, "workerinput", {}).get("workerid", "alone")
        (config.getoption("sampled") / f"{worker}.json").write_text(json.dumps(sampler.stop()))
