"""`python -m harness.demo`, in the environment of the lock `demo`: try upstream's demo on both trees, as without a GPU.

The published demo must not start, for lack of CUDA. To the patched one, a headless Chromium says the same words in two turns: the
page must show them, and the browser must hear each reply.
"""

import io
import re
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from itertools import zip_longest
from pathlib import Path

import soundfile
import torch
import torchaudio

from harness import OUT, devices, trees, wheels
from harness.checkpoint import complete
from harness.command import status
from harness.demo.server import serving
from harness.demo.talk import judge
from harness.speech import Clip, clips
from harness.table import Table, publish

# What is said in each turn: a word that fastrtc may cut, and words that it must not.
OPENING, CLIP = "human-goodbye-8k-mono", "human-world-24k-mono"
RATE = 48_000
# The errors of 1.3.0 on a host without a GPU; the second is that of a torch that was built without CUDA.
NO_CUDA = re.compile("Found no NVIDIA driver|Torch not compiled with CUDA enabled")
STEPS = ("start", "first turn", "second turn")


def speech() -> tuple[bytes, str]:
    """Make what is said in each turn.

    Returns:
        an audio file, and its words after the opening one
    """
    known = {clip.id: clip for clip in clips()}
    file = io.BytesIO()
    samples = torch.cat([_spoken(known[OPENING]), _spoken(known[CLIP])])
    soundfile.write(file, samples.numpy(), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue(), known[CLIP].text


def _spoken(clip: Clip) -> torch.Tensor:
    """Return a clip at 48 kHz, without the quiet at its ends: with it, fastrtc sometimes finds a pause between the words."""
    samples: torch.Tensor = torchaudio.functional.resample(clip.mono(), clip.sampling_rate, RATE)[0]
    samples *= 0.5 / samples.abs().max()
    loud = (samples.abs() > 0.02).nonzero()
    return samples[int(loud[0]) : int(loud[-1])]


def visit(tree: trees.Tree, model: Path) -> tuple[list[str], list[str]]:
    """Start the demo of a tree, and talk to it if it starts.

    Args:
        tree: its package
        model: the folder of the completed checkpoint

    Returns:
        what was seen at each step, and what is wrong; empty if the demo works

    Raises:
        HarnessError: this host has no Chromium, or the talk breaks off
    """
    from harness.demo.page import talk  # selenium is only in the environment of the demo

    print(f"{tree.name}: starting liquid-audio-demo, which takes half a minute", file=sys.stderr, flush=True)
    # This package contains the pause detector that fastrtc would download.
    detector = Path(str(distribution("faster-whisper").locate_file("faster_whisper/assets")))
    with serving(tree, model, detector) as server:
        url = server.url()
        if url is None:
            reason = server.exception or f"exit status {server.process.returncode}"
            return [f"ends with `{reason.partition('. ')[0]}`"], [f"the demo does not start: {reason}"]
        said, words = speech()
        turns = talk(server, url, said, len(STEPS) - 1)
        return ["serves its page", *map(str, turns)], list(judge(turns, words))


def compare(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Find what contradicts the claim.

    Args:
        before: what is wrong with the published demo
        after: what is wrong with the patched one
    """
    problems = [f"patched: {problem}" for problem in after]
    if not NO_CUDA.search(" ".join(before)):
        seen = before[0] if before else "it works"
        problems.append(f"upstream: expected the demo not to start for lack of CUDA, got: {seen}")
    return problems


def run() -> bool:
    """Try both demos, publish what was seen, and say whether it is as claimed.

    Raises:
        HarnessError: this host lacks something that this needs
    """
    for kind in ("json", "md"):  # an attempt that breaks off leaves no earlier result
        (OUT / f"demo.{kind}").unlink(missing_ok=True)
    upstream, patched = trees.resolve("upstream"), trees.resolve("patched")
    sys.path.insert(0, str(patched.path))  # the shapes of the weights are in the package
    model = complete()
    (seen, before), (seen_after, after) = visit(upstream, model), visit(patched, model)
    problems = compare(before, after)
    rows = list(zip_longest(STEPS, seen, seen_after, fillvalue="–"))
    note = f"A headless Chromium says «{speech()[1]}» after a word that is not judged, because fastrtc may cut it. "
    note += "WebRTC on this host, the tiny checkpoint."
    table = Table("Upstream's demo, in a browser", ("the demo", wheels.RELEASE.version, "patched"), rows, note)
    device = "mps" if devices.usable("mps") else "cpu"  # CUDA is hidden from the demo
    publish("demo", table, problems=problems, works={"upstream": not before, "patched": not after}, device=device)
    return not problems


if __name__ == "__main__":
    sys.exit(status(run))
