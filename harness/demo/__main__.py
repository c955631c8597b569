"""`python -m harness.demo`, in the environment of the lock `demo`: try upstream's demo on both trees.

On upstream, it dies on a host without a GPU. On patched, a headless Chromium with a fake microphone says a clip twice, resets
the chat, and says it again.
"""

import argparse
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from harness import OUT, ROOT, devices, trees, wheels
from harness.command import status
from harness.demo import host
from harness.demo.talk import describe, judge
from harness.speech import Clip, clips
from harness.table import Table, publish

CLIP = "human-world-24k-mono"
PICTURES = OUT / "demo"
# The errors of 1.3.0 on a host without a GPU; the second is that of a torch that was built without CUDA.
NO_CUDA = re.compile("Found no NVIDIA driver|Torch not compiled with CUDA enabled")
STEPS = {
    "start": "`liquid-audio-demo`",
    "first": "first turn: the page writes",
    "first sound": "and the browser hears",
    "second": "second turn: the page writes",
    "second sound": "and the browser hears",
    "reset": "«Reset chat», and a new first turn",
}


@dataclass
class Outcome:
    """The result of the demo on one tree.

    Attributes:
        tree: its name
        steps: what was seen, by a key of `STEPS`
        problems: why it does not work; empty if it does
        notes: what else was seen
        seconds: how long all of it took
    """

    tree: str
    steps: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def visit(tree: trees.Tree, clip: Clip, home: Path) -> Outcome:
    """Start the demo of a tree, and talk to it if it starts.

    Args:
        tree: the tree whose demo to start
        clip: what to say to it
        home: a folder with everything that the demo would ask the hub for

    Raises:
        HarnessError: this host has no Chromium, or cannot connect to itself
    """
    from harness.demo import page as pages
    from harness.demo.chat import talk

    pictures = PICTURES / Path(tree.name).name
    for stale in PICTURES.glob(f"{pictures.name}-*.png"):
        stale.unlink()
    recording = home / "microphone.wav"
    soundfile.write(recording, host.microphone(clip).numpy(), host.RATE, subtype="PCM_16")
    begin, outcome = time.monotonic(), Outcome(tree.name)
    with host.serving(tree, home) as server, pages.chromium(recording) as browser:
        host.say(f"{tree.name}: starting liquid-audio-demo, which takes half a minute")
        if server.ready():
            outcome.steps["start"] = f"serves its page after {time.monotonic() - begin:.0f} s"
            host.say(f"{tree.name}: {outcome.steps['start']}")
            page = pages.Page(browser, server, pictures)
            turns, emptied = talk(page, clip.text, outcome.notes)
            outcome.steps |= describe(turns, emptied)
            outcome.problems += judge(turns, clip.text, emptied)
        else:
            reason = host.tidy(host.last_words(server.log), tree.path, home) or f"exit status {server.process.returncode}"
            outcome.steps["start"] = f"dies: `{reason.partition('. ')[0]}`"
            outcome.problems.append(f"the demo does not start: {reason}")
            host.say(f"{tree.name}: it dies with {reason}")
            pages.photograph_death(browser, host.tidy(server.log, tree.path, home), server.url, pictures)
    outcome.seconds = time.monotonic() - begin
    return outcome


def compare(before: Outcome, after: Outcome) -> list[str]:
    """Find what contradicts the claim that 1.3.0 dies for lack of CUDA, and patched works."""
    problems = [f"{after.tree}: {problem}" for problem in after.problems]
    if not NO_CUDA.search(" ".join(before.problems)):
        seen = before.problems or ["it works"]
        problems.append(f"{before.tree}: expected the demo to die for lack of CUDA, got: {seen[0]}")
    return problems


def table(outcomes: Sequence[Outcome], clip: Clip) -> Table:
    """Draw what was seen on each tree."""
    names = {"upstream": wheels.RELEASE.version}
    rows = [[step, *(outcome.steps.get(key, "–") for outcome in outcomes)] for key, step in STEPS.items()]
    note = f"A headless Chromium whose microphone hears «{clip.text}» ({clip.id}), WebRTC on this host, the tiny checkpoint. "
    note += ", ".join(f"{outcome.tree} took {outcome.seconds:.0f} s" for outcome in outcomes) + "."
    note += "".join(f" {outcome.tree}: {seen}." for outcome in outcomes for seen in outcome.notes)
    columns = ("the demo", *(names.get(outcome.tree, outcome.tree) for outcome in outcomes))
    return Table("Upstream's demo, in a browser", columns, rows, note)


def run(names: Sequence[str]) -> list[str]:
    """Try the demo on trees, and publish what was seen. Upstream and patched are compared.

    Args:
        names: names of the trees

    Returns:
        the problems that were found

    Raises:
        HarnessError: this host lacks something
    """
    clip = next(clip for clip in clips() if clip.id == CLIP)
    found = [trees.resolve(name) for name in names]
    checkpoint, model = host.prepare(found[-1])
    outcomes = []
    for tree in found:
        with tempfile.TemporaryDirectory(prefix="liquid-audio-demo-", ignore_cleanup_errors=True) as home:
            host.fill(Path(home), checkpoint, model)
            outcomes.append(visit(tree, clip, Path(home)))
    both = list(names) == ["upstream", "patched"]
    problems = compare(*outcomes) if both else [f"{o.tree}: {problem}" for o in outcomes for problem in o.problems]
    seconds: Mapping[str, int] = {outcome.tree: round(outcome.seconds) for outcome in outcomes}
    works = {outcome.tree: not outcome.problems for outcome in outcomes}
    device = "mps" if devices.usable("mps") else "cpu"  # CUDA is hidden from the demo
    name = "demo" if both else f"demo-{Path(names[0]).name}"
    publish(name, table(outcomes, clip), problems=problems, seconds=seconds, works=works, device=device)
    return problems


def main() -> int:
    """Exit with 0 only if the demo behaves as expected."""
    parser = argparse.ArgumentParser(prog="python -m harness.demo", description=__doc__)
    parser.add_argument("--tree", help="try only this tree: upstream, patched, or a folder that holds liquid_audio/")
    options = parser.parse_args()
    # Sent when a shell closes or a session ends: stop what runs, as on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return status(lambda: _run(options))


def _run(options: argparse.Namespace) -> bool:
    problems = run([options.tree] if options.tree else ["upstream", "patched"])
    print(
        f"{len(problems)} problems" if problems else f"the demo behaves as expected; pictures in {PICTURES.relative_to(ROOT)}"
    )
    return not problems


if __name__ == "__main__":
    sys.exit(main())
