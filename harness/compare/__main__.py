"""`python -m harness.compare`, in the environment of the lock `compare`: openai-whisper, faster-whisper and LFM2-Audio on one host."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from harness import OUT, ROOT, devices, world
from harness.command import status
from harness.compare import figure, tables
from harness.compare import run as running
from harness.compare.hearing import sound
from harness.compare.hearing.engines import longest
from harness.compare.hearing.lfm import obtain
from harness.compare.keep import keep
from harness.compare.score import normaliser, score
from harness.table import Table, publish

PACKAGES = ("torch", "transformers", "openai-whisper", "faster-whisper", "ctranslate2", "silero-vad", "jiwer")
LONG = (
    "Committed clips, all of whose words the tiny checkpoint knows, joined with pauses of 0.6 to 1.2 s and the noise of a quiet "
    "room. A cell gives the word error rate, the RTF, and the peak memory so far. A turn may have "
    f"{longest(163)} tokens at 163 s and {longest(944)} at 944 s."
)


def compare(names: Sequence[str], threads: int, lfm: str | None) -> list[str]:
    """Run the comparison and publish its tables, its record and its figure.

    Args:
        names: names of the devices
        threads: how many each recognizer uses
        lfm: folder or name of the real checkpoint

    Returns:
        the problems that were found

    Raises:
        HarnessError: weights or recordings are not available
    """
    begin, load = time.monotonic(), os.getloadavg()[0]
    spoken = sound.human()
    runs = list(running.run(running.weights(obtain(lfm) if lfm else None), names, threads))
    normalise, host = normaliser(), _host(names, threads, load)
    drawn = tables.draw(runs, sound.knows, normalise, (_note(spoken, normalise, host, runs), LONG))
    problems = list(tables.problems(runs, normalise))
    publish(
        "compare",
        *drawn,
        problems=problems,
        stack="compare",
        digest=world.digest("compare"),
        date=datetime.now(UTC).date().isoformat(),
        host=host,
        packages={name: version(name) for name in PACKAGES},
        lfm=Path(lfm).name if lfm else "",
        runs=[{"engine": run.key, "device": run.device, "not run": run.not_run, "told": run.lines} for run in runs],
        seconds=round(time.monotonic() - begin),
    )
    figure.draw(runs, normalise, OUT / "compare.json", _title(drawn[0]))
    print(f"{time.monotonic() - begin:.0f} s in all; wrote out/compare.json, .md and .svg")
    return problems


def _host(names: Sequence[str], threads: int, load: float) -> dict[str, str]:
    """Describe this host by the keys that evidence has, with its load."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "device": ", ".join(dict.fromkeys(devices.describe(name) for name in names)),
        "threads": str(threads),
        "load": f"{load:.1f}",
    }


def _note(
    spoken: Sequence[sound.Spoken], normalise: tables.Normalise, host: dict[str, str], runs: Sequence[running.Run]
) -> str:
    """Say what was heard, and how it was measured."""
    audio, words = sum(clip.seconds for clip in spoken), sum(len(clip.text.split()) for clip in spoken)
    after = score([(clip.text, clip.text) for clip in spoken], normalise).words
    bare = max((line["bare"] for run in runs for line in run.heard("loaded")), default=0) / 1e9
    trained = sound.trained() & {clip.id for clip in spoken}
    return (
        f"{len(spoken)} recordings of men, {audio:.0f} s and {words} words, {after} after Whisper's English normaliser. RTF is seconds "
        f"per second of audio, without loading, which includes the imports, and without a warm-up. Whisper pads every clip to 30 s. Up to "
        f"{bare:.1f} GB of the memory is taken before a recognizer is loaded, by torch, which reads the recordings. The tiny "
        f"checkpoint was trained on {len(trained)} of the recordings. {host['device']}, {host['system']} {host['machine']}, "
        f"threads: {host['threads']}, load of the host before: {host['load']}, {datetime.now(UTC).date().isoformat()}."
    )


def _title(table: Table) -> str:
    return "Word error rates on human speech. " + "; ".join(
        f"{name}, {how}, {on}: {rate}" for name, how, on, rate, *_ in table.rows
    )


def _devices() -> list[str]:
    """List the devices of this host that a recognizer supports."""
    return [name for name in ("cpu", "cuda", "mps") if devices.usable(name)]


def main() -> int:
    """Exit with 0 only if every recognizer with weights ran, and errors in files cut at pauses do not grow with length."""
    parser = argparse.ArgumentParser(prog="python -m harness.compare", description=__doc__)
    parser.add_argument(
        "--device", action="append", help="a device of this host (default: each of cpu, cuda and mps that it has)"
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads of each recognizer (default: torch's own)"
    )
    parser.add_argument("--lfm", metavar="FOLDER-or-NAME", help="LFM2.5-Audio: a folder, or a name on the hub to download")
    parser.add_argument(
        "--keep", action="store_true", help="put the last comparison into harness/compare/README.md, .github/ and fixtures/"
    )
    options = parser.parse_args()
    return status(lambda: _run(options))


def _run(options: argparse.Namespace) -> bool:
    if options.keep:
        print(f"wrote {keep().relative_to(ROOT)}: commit it, harness/compare/README.md and .github/compare.svg")
        return True
    for name in options.device or ():
        devices.require(name)
    return not compare(options.device or _devices(), options.threads, options.lfm)


if __name__ == "__main__":
    sys.exit(main())
