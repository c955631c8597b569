"""Put the last verdict of cpu and sim into README.md, with its picture in place of its matrix."""

import argparse
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness import OUT, PATCHES, ROOT, HarnessError
from harness.show import page, views
from harness.verdict import report
from harness.verdict.catalogue import Bug, Reason
from harness.verdict.judge import Shown, Verdict

LANES = ("cpu", "sim")


def update(
    readme: Path = ROOT / "README.md",
    out: Path = OUT,
    picture: Path = ROOT / ".github" / "matrix.svg",
    patches: Path = PATCHES,
) -> None:
    """Write between the marks that README has for it.

    Args:
        readme: the file
        out: the folder that has the verdict of every lane
        picture: where README shows the picture from
        patches: the series that the verdicts must be about

    Raises:
        HarnessError: there are no such marks, no verdict with a matrix, or one that is stale
    """
    lanes, stale = views.read(out, patches)
    found = {lane.name: lane for lane in lanes}
    if missing := [name for name in LANES if name not in found]:
        reasons = "; ".join(stale.get(name, f"there is no verdict on {name} yet") for name in missing)
        raise HarnessError(f"{reasons}: run `nox -s verdict` first")
    page.write(out, patches)  # for the picture, of the same verdicts
    parts = report.MATRIX.split(report.markdown([_lane(found[name]) for name in LANES]))
    if len(parts) != 2:
        raise HarnessError("the verdict has no matrix: run `nox -s verdict` first")
    before, mark, rest = readme.read_text(encoding="utf-8").partition("<!-- verdict")
    opening, end_of_mark, rest = rest.partition("-->\n")
    _, closing, after = rest.partition("<!-- /verdict -->")
    if not closing:
        raise HarnessError(f"{readme.name} has no place for the verdict between <!-- verdict --> and <!-- /verdict -->")
    drawn = out / "matrix.svg"
    title = ElementTree.parse(drawn).findtext("{*}title")
    shown = f"![{title}]({picture.relative_to(readme.parent).as_posix()})\n"
    text = f"{before}{mark}{opening}{end_of_mark}{shown.join(parts)}{closing}{after}"
    shutil.copyfile(drawn, picture)
    readme.write_text(text, encoding="utf-8")


def _lane(lane: views.Lane) -> report.Lane:
    """Read a lane's record as the report has it, from which it was made."""
    record = lane.record
    shown = []
    for bug in record["bugs"]:
        fields: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in bug.items() if name in Bug.__dataclass_fields__
        }
        reasons = tuple(Reason(**{**reason, "at": tuple(reason["at"])}) for reason in bug["reasons"])
        shown.append(Shown(Bug(**{**fields, "reasons": reasons}), tuple(bug["shown"]), bug["fixed"]))
    verdict = Verdict(lane.name, record["counts"], tuple(shown), tuple(record["problems"]), record["same bits"])
    not_run = {name: reason for name, reason in record["not run"].items() if name not in LANES}
    return report.Lane(verdict, lane.runs["upstream"], lane.runs["patched"], record["seconds"], not_run)


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `readme`."""
    parser.set_defaults(run=lambda options: update())
