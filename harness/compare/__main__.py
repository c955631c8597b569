"""`python -m harness.compare`, in the environment of the lock `compare`."""

import argparse
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from harness import OUT, HarnessError, devices, trees, world
from harness.command import status
from harness.compare import report, speech, weights
from harness.compare.engines import LENGTHS
from harness.compare.run import run_all
from harness.table import publish

PACKAGES = ("openai-whisper", "faster-whisper", "ctranslate2", "torch", "transformers")
NO_LFM = "it needs the weights of LFM2.5-Audio, which `--lfm` names"


def compare(names: Sequence[str], lfm: str | None) -> list[str]:
    """Run the comparison, and write `compare.json`, `.md` and `.svg` to out/.

    Args:
        names: names of the devices
        lfm: folder of LFM2.5-Audio, or its name on the hub

    Returns:
        the problems that were found

    Raises:
        HarnessError: the recordings, Whisper's weights or the patched tree are not available
    """
    host, problems = describe(names), []
    sys.path.insert(0, str(trees.resolve("patched").path))
    from harness.checkpoint import complete

    folders: dict[str, Path | str] = {"whisper": weights.whisper_base(), "tiny": complete()}
    try:
        folders["lfm"] = weights.real(lfm) if lfm else NO_LFM
    except HarnessError as error:
        print(error, file=sys.stderr)
        folders["lfm"] = str(error)
        problems.append(str(error))
    runs = run_all(folders, names, speech.recordings(), {length: speech.joined(length) for length in LENGTHS})
    from whisper.normalizers import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    problems += report.problems(runs, normalise)
    heard = {run.engine.label(run.device): [asdict(h) for h in (*run.clips, *run.files.values())] for run in runs}
    made, digest = report.tables(runs, normalise, host), world.digest("compare")
    publish("compare", *made, problems=problems, stack="compare", digest=digest, heard=heard)
    report.draw(runs, normalise, OUT / "compare.json")
    return problems


def describe(names: Sequence[str]) -> str:
    """Describe this host, its load, its packages and the date."""
    processors = ", ".join(dict.fromkeys(devices.describe(name) for name in names))
    return (
        f"{processors}, {platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} "
        f"before the run, {', '.join(f'{name} {version(name)}' for name in PACKAGES)}, {datetime.now(UTC).date().isoformat()}."
    )


def keep() -> None:
    """Put the tables and the picture of out/ into README, between its marks."""
    readme = Path(__file__).with_name("README.md")
    before, mark, rest = readme.read_text(encoding="utf-8").partition(
        "<!-- compare: written by `nox -s compare -- --keep` -->\n"
    )
    tables = (OUT / "compare.md").read_text(encoding="utf-8")
    picture = f"\n![Word error rate by the length of a file. {report.CAVEAT}](compare.svg)\n"
    shutil.copyfile(OUT / "compare.svg", readme.with_name("compare.svg"))
    readme.write_text(before + mark + tables + picture + "".join(rest.rpartition("<!-- /compare -->")[1:]), encoding="utf-8")


def main() -> int:
    """Exit with 0 only if every recognizer with weights ran, and errors in files cut at pauses do not grow with length."""
    parser = argparse.ArgumentParser(prog="python -m harness.compare", description=__doc__)
    choices = ("cpu", "cuda", "mps")
    parser.add_argument("--device", action="append", choices=choices, help="a device (default: all that this host has)")
    parser.add_argument("--lfm", metavar="FOLDER-or-NAME", help="LFM2.5-Audio: a folder, or a name on the hub to download")
    parser.add_argument(
        "--keep", action="store_true", help="also put the tables and the picture into harness/compare/README.md"
    )
    options = parser.parse_args()

    def command() -> bool:
        for name in options.device or ():
            devices.require(name)
        warnings.filterwarnings("ignore")  # packages warn of their internals
        problems = compare(options.device or [name for name in choices if devices.usable(name)], options.lfm)
        if options.keep and not problems:
            keep()
        return not problems

    return status(command)


if __name__ == "__main__":
    sys.exit(main())
