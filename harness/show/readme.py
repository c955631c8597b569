"""Put the last verdicts into README.md, their picture into .github/, and the table of bugs into patches/README.md."""

import argparse
import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness import OUT, PATCHES, ROOT, HarnessError, report, series, world
from harness.catalogue import by_kind
from harness.show import page, views

# README is updated only if these lanes ran.
LANES = ("cpu", "sim")


def update(
    readme: Path = ROOT / "README.md",
    out: Path = OUT,
    picture: Path = ROOT / ".github" / "matrix.svg",
    patches: Path = PATCHES,
) -> None:
    """Rewrite README between its marks, and all of `patches/README.md`.

    Args:
        readme: the file
        out: the folder with the verdict of every lane
        picture: the file that README shows as its picture
        patches: the series that the verdicts must be about, and the folder where their table is written

    Raises:
        HarnessError: README has no such marks, or a verdict is missing or stale
    """
    lanes, stale = views.read(out, patches)
    if missing := [name for name in LANES if name not in {lane.name for lane in lanes}]:
        reasons = "; ".join(stale.get(name, f"there is no verdict on {name} yet") for name in missing)
        raise HarnessError(f"{reasons}: run `nox -s verdict` first")
    main = [lane for lane in lanes if lane.name == lane.record["lane"]]
    before, mark, rest = readme.read_text(encoding="utf-8").partition("<!-- verdict")
    opening, end_of_mark, rest = rest.partition("-->\n")
    _, closing, after = rest.partition("<!-- /verdict -->")
    if not closing:
        raise HarnessError(f"{readme.name} has no place for the verdict: expected <!-- verdict --> and <!-- /verdict -->")
    page.write(out, patches)  # draws the picture of the same verdicts
    table = patches / "README.md"
    drawn = out / "matrix.svg"
    shown = f"![{ElementTree.parse(drawn).findtext('{*}title')}]({picture.relative_to(readme.parent).as_posix()})"
    body = "\n".join(_block(main, views.not_run(lanes), shown, table.relative_to(readme.parent).as_posix()))
    made = "; ".join(f"{lane.name} {lane.record['stack']} {lane.record['date']} {lane.record['digest'][:12]}" for lane in main)
    table.write_text(by_patch(main, patches), encoding="utf-8")
    body += f"\n<!-- made from {made}; seal {_seal(body, made, drawn, table)} -->"
    shutil.copyfile(drawn, picture)
    readme.write_text(f"{before}{mark}{opening}{end_of_mark}{body}\n{closing}{after}", encoding="utf-8")


def _seal(body: str, made: str, *files: Path) -> str:
    return hashlib.sha256(b"".join([f"{body}{made}".encode(), *(file.read_bytes() for file in files)])).hexdigest()[:12]


def check(
    readme: Path = ROOT / "README.md",
    picture: Path = ROOT / ".github" / "matrix.svg",
    table: Path = PATCHES / "README.md",
) -> list[str]:
    """Check that README's verdicts, their picture and their table are as they were written, and list the stale verdicts.

    Raises:
        HarnessError: somebody edited them
    """
    block = re.search(r"<!-- verdict.*?-->\n(.*)\n<!-- /verdict -->", readme.read_text(encoding="utf-8"), re.DOTALL)
    sealed = block and re.fullmatch(r"(.*)\n<!-- made from (.+); seal (\w+) -->", block[1], re.DOTALL)
    if not sealed or _seal(sealed[1], sealed[2], picture, table) != sealed[3]:
        raise HarnessError(
            f"the verdicts of {readme.name}, {picture.name} or {table.name} of patches/ were edited by hand: run `nox -s readme`"
        )
    made = [entry.split() for entry in sealed[2].split("; ")]
    return [f"{lane} of {date}" for lane, stack, date, digest in made if not world.digest(stack).startswith(digest)]


def _block(lanes: Sequence[views.Lane], not_run: Mapping[str, str], picture: str, table: str) -> list[str]:
    """Render README's verdicts, line by line."""
    records = [(lane.name, lane.record) for lane in lanes]
    lines = [report.claim(name, r["holds"], r["counts"], r["same bits"]) for name, r in records]
    bugs = by_kind(bug["kind"] for bug in views.bugs(lanes))
    lines += ["", picture, "", f"{lanes[0].record['release']['version']} has {bugs}: [by patch]({table}).", ""]
    if problems := [f"- {problem}" for _, record in records for problem in record["problems"]]:
        lines += [*problems, ""]
    return [*lines, report.missing(not_run)] if not_run else lines[:-1]


def by_patch(lanes: Sequence[views.Lane], patches: Path = PATCHES) -> str:
    """Render as Markdown what each patch changes, and which bugs it fixes.

    Args:
        lanes: the lanes that ran, one for each device
        patches: the series
    """
    bugs = views.bugs(lanes)

    def about(file: Path) -> dict[str, Any]:
        own = [bug for bug in bugs if bug["patch"] == file.name]
        return {**page.read_patch(file), "folder": file.parent.name, "bugs": own}

    names = lanes[0].record["series"]
    others = [file for file in series.whole(patches) + series.outside(patches) if file.name not in names]
    text = page.templates(autoescape=False).get_template("patches.md.jinja")
    return text.render(
        version=lanes[0].record["release"]["version"],
        kinds=by_kind(bug["kind"] for bug in bugs),
        says=report.SAYS,
        lanes=[lane.name for lane in lanes],
        patches=[about(patches / name) for name in names],
        outside=[about(file) for file in others],
        files=_files,
        cell=_cell,
        tally=_tally,
    )


def _files(patch: Mapping[str, Any]) -> str:
    """List the files that a patch changes."""
    names = [f"`{name.removeprefix('src/liquid_audio/')}`" for name in patch["files"]]
    return f"Changes {', '.join(names)}: +{patch['added']} −{patch['removed']}."


def _cell(gives: Sequence[str]) -> str:
    """Fit an exception into a table cell."""
    if not gives:
        return "no test shows it"
    return "`" + page.clip(gives[0]).replace("|", r"\|").replace("`", "'") + "`"


def _tally(shown: Mapping[str, int] | None) -> str:
    """State how many tests show a bug on a device, and whether all of them pass with the patches."""
    if not shown:
        return "–"
    fixed = shown["fixed"] == shown["shown"] > 0
    return f"{shown['shown']} {'✗' if shown['shown'] else '?'} → {'✓' if fixed else '✗'}"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `readme`."""
    parser.add_argument("--check", action="store_true", help="only check that nobody edited them, and say which are stale")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if not options.check:
        update()
    elif stale := check():
        print(f"README's verdicts are stale on {', '.join(stale)}: run these lanes, and `nox -s readme`")
