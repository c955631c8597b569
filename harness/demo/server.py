"""The process of the demo, with what it would otherwise download from the hub."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import HarnessError, world
from harness.trees import Tree

# What the demo asks the hub for: the model, and fastrtc's pause detector.
MODEL, DETECTOR = "LiquidAI/LFM2.5-Audio-1.5B", "freddyaboulton/silero-vad"
# Runs the console script of the tree on PYTHONPATH, as the file that pip writes does.
START = """
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="liquid-audio-demo")
sys.argv[0] = script.name
sys.exit(script.load()())
"""
# How many seconds the demo may take to import its packages and to load the model, on a busy host. An idle one needs 20.
STARTS = 600


@dataclass(frozen=True)
class Server:
    """A demo that runs, or has ended.

    Attributes:
        process: the demo
        file: the file that it prints to
    """

    process: subprocess.Popen[bytes]
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    @property
    def exception(self) -> str:
        """The last exception that the demo printed; empty if there is none."""
        return next((line for line in reversed(self.log.splitlines()) if re.match(r"[\w.]+(Error|Exception)\b", line)), "")

    def url(self) -> str | None:
        """Wait until the demo serves its page, and return the address; None if the demo ends instead.

        Raises:
            HarnessError: neither happens in time
        """
        end = time.monotonic() + STARTS
        while time.monotonic() < end:
            if found := re.search(r"Running on local URL: +(\S+)", self.log):
                return found[1]
            if self.process.poll() is not None:
                return None
            time.sleep(0.3)
        raise HarnessError(f"the demo did not start within {STARTS} s; the end of its output: {self.log.strip()[-200:]!r}")


@contextmanager
def serving(tree: Tree, model: Path, detector: Path) -> Iterator[Server]:
    """Start the demo of a tree as on a host without a GPU, and stop it at the end.

    Args:
        tree: its package and its console script
        model: the folder of the completed checkpoint
        detector: the folder of fastrtc's pause detector
    """
    with tempfile.TemporaryDirectory(prefix="liquid-audio-demo-", ignore_cleanup_errors=True) as home:
        for repository, content in ((MODEL, model), (DETECTOR, detector)):
            download = Path(home, "hub", f"models--{repository.replace('/', '--')}")
            for folder in ("refs", "snapshots"):
                (download / folder).mkdir(parents=True)
            (download / "refs" / "main").write_text("0")
            (download / "snapshots" / "0").symlink_to(content.resolve())
        settings = {
            "PYTHONPATH": str(tree.path),
            "PYTHONUNBUFFERED": "1",
            "HF_HOME": home,
            "GRADIO_TEMP_DIR": f"{home}/gradio",
            "GRADIO_ANALYTICS_ENABLED": "False",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",  # sums have the same order on every host
        }
        file = Path(home, "demo.log")
        with file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", START],
                cwd=home,
                env=world.environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Server(process, file)
        finally:
            process.kill()
            process.wait()
