"""Render the verdicts of `out/` as one page, `out/report.html`, and its picture as `out/matrix.svg`.

The page needs no network, no script and no other files. The same verdicts give the same bytes.
"""

import argparse
import base64
import email.policy
import json
import re
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from harness import OUT, PATCHES, ROOT, HarnessError, world
from harness.catalogue import by_kind
from harness.report import abilities, picture, views
from harness.report.views import SAYS, SHAPES

# The tables of other sessions in out/, in the order of the page, with their titles.
TABLES = {
    "demo": "Upstream's demo",
    "mutants": "Mutants",
    "alternatives": "Alternatives",
    "compare": "Comparison",
    "benchmark": "Cost of the patches",
}


def write(out: Path = OUT, patches: Path = PATCHES) -> Path:
    """Write the page and the picture.

    Args:
        out: the folder of the verdicts, where both are written
        patches: the series that the verdicts must be about

    Returns:
        the page

    Raises:
        HarnessError: there is no verdict on this series, or a session's file is malformed
    """
    lanes, stale = views.read(out, patches)
    if not lanes:
        raise HarnessError("; ".join(["there is no verdict on this series", *stale.values()]) + ": run `nox -s verdict` first")
    main = views.main(lanes)
    svg, words = picture.draw(main)
    (out / "matrix.svg").write_text(svg, encoding="utf-8")
    bugs = views.bugs(main)
    context = {
        "lanes": lanes,
        "main": main,
        "broken": [lane.name for lane in lanes if not lane.record["holds"]],
        "release": main[0].record["release"],
        "record": main[0].record,
        "bugs": bugs,
        "kinds": by_kind(bug["kind"] for bug in bugs),
        "says": SAYS,
        "patches": [read_patch(patches / name) for name in main[0].record["series"]],
        "works": {lane.name: abilities.works(lane) for lane in main},
        "abilities": abilities.ABILITIES,
        "not_run": views.not_run(lanes) | stale,
        "picture": base64.b64encode(svg.encode()).decode(),
        "words": words,
        "forms": {lane.name: rows for lane in main if (rows := _forms(lane))},
        "tables": {name: read_table(out / f"{name}.json", title, patches) for name, title in TABLES.items()},
        "runs": views.runs(lanes),
    }
    page = out / "report.html"
    templates = picture.templates()
    templates.filters |= {"code": _code, "clip": views.clip, "tally": views.tally}
    page.write_text(templates.get_template("page.html.jinja").render(context) + "\n", encoding="utf-8")
    return page


def _forms(lane: views.Lane) -> list[list[str]]:
    """List each form of audio with what happens to it on each package."""
    return [
        [f"{block['container']} {row['dtype']} {SHAPES[cell['shape']]}", cell["upstream"]["words"], cell["patched"]["words"]]
        for block in views.blocks(lane)
        for row in block["rows"]
        for cell in row["cells"]
    ]


def read_patch(file: Path) -> dict[str, Any]:
    """Read the message of a patch, and the files and numbers of lines that it changes."""
    message = BytesParser(policy=email.policy.default).parsebytes(file.read_bytes())
    said, _, diff = f"\n{message.get_content()}".partition("\n---\n")
    about = re.sub(r"(^|\n\n)(\S+: .*\n?)+$", "", said.removeprefix("\n"))
    return {
        "name": file.name,
        "folder": file.parent.name,
        "subject": str(message["subject"]).removeprefix("[PATCH] "),
        "opening": re.split(r"(?<=[.!?]) ", " ".join(about.split()), maxsplit=1)[0],
        "files": re.findall(r"^diff --git a/.+ b/(.+)$", diff, re.MULTILINE),
        "added": len(re.findall(r"^\+(?!\+\+ )", diff, re.MULTILINE)),
        "removed": len(re.findall(r"^-(?!-- )", diff, re.MULTILINE)),
    }


def read_table(file: Path, title: str, patches: Path = PATCHES) -> dict[str, Any]:
    """Read the table of another session, with its further tables and its problems; without rows if it did not run.

    Raises:
        HarnessError: the file is not such a table
    """
    none: dict[str, Any] = {"title": title, "columns": [], "rows": [], "note": "", "others": [], "problems": []}
    if not file.is_file():
        return none
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        first, *others = (
            {name: of[name] for name in ("title", "columns", "rows", "note")} for of in (table, *table.get("others", ()))
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HarnessError(
            f"{file.name} is not a table with title, columns, rows and note ({error}): run `nox -s {file.stem}`"
        ) from None
    if world.is_stale(table, patches):
        return none
    problems = table.get("problems") or ([] if table.get("holds") else ["it does not say that it holds"])
    return {**first, "others": others, "problems": problems}


def _code(text: object) -> Markup:
    """Mark up the text between backticks as code."""
    parts = re.split("`([^`]+)`", str(text))
    return Markup().join(Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts))


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `page`."""
    parser.set_defaults(run=lambda options: print(f"wrote {write().relative_to(ROOT)}"))
