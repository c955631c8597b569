"""Put the last verdicts into README.md, their picture into .github/, and the list of bugs into patches/README.md."""

import argparse
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import OUT, PATCHES, ROOT, HarnessError, evidence, series, world
from harness.catalogue import by_kind
from harness.report import page, picture, summary, views
from harness.report.views import SAYS

# README is updated only if these lanes ran.
LANES = ("cpu", "sim")


def update(
    readme: Path = ROOT / "README.md",
    out: Path = OUT,
    drawn: Path = ROOT / ".github" / "matrix.svg",
    patches: Path = PATCHES,
    folder: Path = evidence.FOLDER,
) -> None:
    """Rewrite README between its marks, and all of `patches/README.md`.

    Args:
        readme: the file
        out: the folder with the verdict of every lane
        drawn: the file that README shows as its picture
        patches: the series that the verdicts must be about, and the folder where the list of bugs is written
        folder: the folder of committed evidence

    Raises:
        HarnessError: README has no such marks, or a verdict is missing or stale
    """
    lanes, stale = views.read(out, patches)
    if missing := [name for name in LANES if name not in {lane.name for lane in lanes}]:
        reasons = "; ".join(stale.get(name, f"there is no verdict on {name} yet") for name in missing)
        raise HarnessError(f"{reasons}: run `nox -s verdict` first")
    text = re.fullmatch(r"(.*<!-- verdict.*?-->\n)(.*)(<!-- /verdict -->.*)", readme.read_text(encoding="utf-8"), re.DOTALL)
    if not text:
        raise HarnessError(f"{readme.name} has no place for the verdict: expected <!-- verdict --> and <!-- /verdict -->")
    main, kept = views.main(lanes), views.kept(patches, folder)
    svg, words = picture.draw(main)
    table = patches / "README.md"
    version, bugs = main[0].version, by_kind(bug["kind"] for bug in views.bugs(main))
    untested = views.untested([*(lane.record for lane in lanes), *kept])
    lines = [
        *summary.devices(main, kept),
        "",
        f"![{words}]({drawn.relative_to(readme.parent).as_posix()})",
        "",
        f"{version} has {bugs}: [the list, by patch]({table.relative_to(readme.parent).as_posix()}). The table counts all of them "
        f"as bugs. Except in “load without `device=`”, the tests name the device.{f' **{untested}**' if untested else ''}",
        *(f"- {lane.name}: {problem}" for lane in main for problem in lane.record["problems"]),
    ]
    body = "\n".join(lines)
    made = "; ".join(f"{lane.name} {lane.record['stack']} {lane.record['date']} {lane.record['digest'][:12]}" for lane in main)
    table.write_text(by_patch(main, patches), encoding="utf-8")
    drawn.write_text(svg, encoding="utf-8")
    body += f"\n<!-- made from {made}; seal {_seal(body, made, drawn, table)} -->\n"
    readme.write_text(f"{text[1]}{body}{text[3]}", encoding="utf-8")


def _seal(body: str, made: str, *files: Path) -> str:
    return hashlib.sha256(b"".join([f"{body}{made}".encode(), *(file.read_bytes() for file in files)])).hexdigest()[:12]


def check(
    readme: Path = ROOT / "README.md",
    drawn: Path = ROOT / ".github" / "matrix.svg",
    table: Path = PATCHES / "README.md",
) -> list[str]:
    """Check that README's verdicts, their picture and their list are as they were written, and list the stale verdicts.

    Raises:
        HarnessError: somebody edited them
    """
    block = re.search(r"<!-- verdict.*?-->\n(.*)\n<!-- /verdict -->", readme.read_text(encoding="utf-8"), re.DOTALL)
    sealed = block and re.fullmatch(r"(.*)\n<!-- made from (.+); seal (\w+) -->", block[1], re.DOTALL)
    if not sealed or _seal(sealed[1], sealed[2], drawn, table) != sealed[3]:
        raise HarnessError(
            f"the verdicts of {readme.name}, {drawn.name} or {table.name} of patches/ were edited by hand: run `nox -s readme`"
        )
    made = [entry.split() for entry in sealed[2].split("; ")]
    return [f"{lane} of {date}" for lane, stack, date, digest in made if not world.digest(stack).startswith(digest)]


def by_patch(lanes: Sequence[views.Lane], patches: Path = PATCHES) -> str:
    """Render as Markdown what each patch changes, and which bugs it fixes."""
    bugs, names = views.bugs(lanes), lanes[0].record["series"]
    others = [file for file in series.whole(patches) + series.outside(patches) if file.name not in names]
    return (
        picture.templates(autoescape=False)
        .get_template("patches.md.jinja")
        .render(
            version=lanes[0].version,
            kinds=by_kind(bug["kind"] for bug in bugs),
            bugs=bugs,
            says=SAYS,
            lanes=[lane.name for lane in lanes],
            patches=[page.read_patch(patches / name) for name in names],
            outside=[page.read_patch(file) for file in others],
            files=_files,
            summary=summary,
            tally=views.tally,
        )
    )


def _files(patch: Mapping[str, Any]) -> str:
    """List the files that a patch changes."""
    names = [f"`{name.removeprefix('src/liquid_audio/')}`" for name in patch["files"]]
    return f"Changes {', '.join(names)}: +{patch['added']} −{patch['removed']}."


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `readme`."""
    parser.add_argument("--check", action="store_true", help="only check that nobody edited them, and say which are stale")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if not options.check:
        update()
    elif stale := check():
        print(f"README's verdicts are stale on {', '.join(stale)}: run these lanes, and `nox -s readme`")
