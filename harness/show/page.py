"""Render the verdicts of `out/` as one page, `out/report.html`, and its picture as `out/matrix.svg`.

The page needs no network, no script and no other files. The same verdicts give the same bytes.
"""

import argparse
import base64
import email.policy
import html
import json
import re
from collections.abc import Mapping
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from harness import OUT, PATCHES, ROOT, HarnessError, world
from harness.show import views
from harness.show.figures import picture, plot
from harness.suite.catalogue import by_kind
from harness.verdict.report import SAYS, SHAPES, SIGNS

# The tables of other sessions in out/, in the order of the page, with their titles.
TABLES = {
    "demo": "Upstream's demo",
    "mutants": "Mutants",
    "alternatives": "Alternatives",
    "compare": "Comparison",
    "benchmark": "Cost of the patches",
    "benchmark-full": "A full-size model",
    "benchmark-scaling": "Scaling",
}
ABOUT = {
    "cpu": "The host's CPU.",
    "cuda": "An NVIDIA or AMD GPU.",
    "mps": "The GPU of a Mac.",
    "sim": "A device built for these tests, with separate memory and without float64. It says nothing about CUDA or MPS.",
    "xla": "The core of the suite, through torch_xla.",
}
LONGEST = 600
# Longer tables are folded.
ROWS = 12


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
    tables = {name: read_table(out / f"{name}.json", title, patches) for name, title in TABLES.items()}
    # Further lanes of a device are folded.
    main = views.main(lanes)
    drawing = picture.context(main, out, patches)
    svg = templates().get_template("matrix.svg.jinja").render(drawing) + "\n"
    (out / "matrix.svg").write_text(svg, encoding="utf-8")
    shown = [{"lane": lane, "blocks": list(views.blocks(lane)), "open": lane in main} for lane in lanes]
    context = {
        "lanes": shown,
        "ran": main,
        "broken": [lane.name for lane in lanes if not lane.record["holds"]],
        "runs": views.runs(lanes),
        "about": ABOUT,
        "release": main[0].record["release"],
        "bugs": views.bugs(main),
        "kinds": by_kind(bug["kind"] for bug in views.bugs(main)),
        "says": SAYS,
        "patches": [read_patch(patches / name) for name in main[0].record["series"]],
        "tables": tables,
        "sessions_not_run": [table for table in tables.values() if not (table["rows"] or table["problems"])],
        "pictures": read_pictures(out / "demo") if tables["demo"]["rows"] else [],
        "not_run": views.not_run(lanes) | stale,
        "picture": as_address(svg),
        "words": drawing["words"],
        "abilities": picture.table(drawing["devices"]),
        "shapes": SHAPES,
        "signs": {**SIGNS, "mixed": "?", "none": "–"},
        "longest": ROWS,
    }
    page = out / "report.html"
    page.write_text(templates().get_template("page.html.jinja").render(context) + "\n", encoding="utf-8")
    return page


def templates(*, autoescape: bool = True) -> Environment:
    """Return the templates of the page, the picture and the table of patches, with their filters."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(picture.__file__).parent]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "clip": clip, "slug": views.slug, "opening": _opening}
    return environment


def read_patch(file: Path) -> dict[str, Any]:
    """Read the message of a patch, and its diff."""
    message = BytesParser(policy=email.policy.default).parsebytes(file.read_bytes())
    said, _, diff = f"\n{message.get_content()}".partition("\n---\n")
    about = re.sub(r"(^|\n\n)(\S+: .*\n?)+$", "", said.removeprefix("\n"))
    return {
        "name": file.name,
        "subject": str(message["subject"]).removeprefix("[PATCH] "),
        "about": about,
        "opening": _opening(" ".join(about.split())),
        "files": re.findall(r"^diff --git a/.+ b/(.+)$", diff, re.MULTILINE),
        "diff": diff[diff.find("diff --git") :].rstrip(),
        "added": len(re.findall(r"^\+(?!\+\+ )", diff, re.MULTILINE)),
        "removed": len(re.findall(r"^-(?!-- )", diff, re.MULTILINE)),
    }


def read_table(file: Path, title: str, patches: Path = PATCHES) -> dict[str, Any]:
    """Read the table of another session, with its further tables and its problems.

    Raises:
        HarnessError: the file is not such a table
    """
    # The part after a hyphen is an option of the session.
    session = file.stem.replace("-", " -- --", 1)
    rerun = f"run `python3 -m nox -s {session}`"
    none: dict[str, Any] = {"title": title, "columns": [], "rows": [], "others": [], "problems": [], "plot": None}
    none |= {"session": session, "stale": False}
    if not file.is_file():
        return {**none, "note": f"Not run: {rerun}."}
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        first, *others = (_whole(t) for t in (table, *table.get("others", ())))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"{file.name} is not a table with title, columns, rows and note ({error}): {rerun}") from None
    if world.is_stale(table, patches):
        return {**none, "stale": True, "note": f"This is {world.STALE}: {rerun}."}
    problems = list(table.get("problems", []))
    if not (problems or table.get("holds")):
        problems.append("it does not say that it holds")
    return {**first, "others": others, "problems": problems, "plot": _plot(file)}


def _plot(file: Path) -> dict[str, str] | None:
    """Return the figure that was drawn from a table, as a data URL with its alternative text."""
    if (found := plot.drawn(file)) is None:
        return None
    svg, words = found
    return {"source": as_address(svg), "words": html.unescape(words)}


def as_address(svg: str) -> str:
    """Return a drawing as a data URL."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def read_pictures(folder: Path) -> list[dict[str, str]]:
    """Read the demo's screenshots, first upstream and then patched: what each shows, and the file as base64."""
    files = sorted(folder.glob("*.png"), key=lambda file: (not file.name.startswith("upstream"), file.name))
    return [
        {"shows": re.sub(r"-\d-|-", " ", file.stem), "data": base64.b64encode(file.read_bytes()).decode("ascii")}
        for file in files
    ]


def _whole(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a table that the page shows."""
    found = {"title": str(table["title"]), "columns": list(table["columns"]), "rows": table["rows"], "note": table["note"]}
    if any(len(row) != len(found["columns"]) for row in found["rows"]):
        raise ValueError("a row has more or fewer cells than there are columns")
    return found


def _code(text: object) -> Markup:
    """Mark up the text between backticks as code."""
    parts = re.split("`([^`]+)`", str(text))
    return Markup().join(Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts))


def _opening(text: str) -> str:
    """Return the first sentence of a text."""
    return re.split(r"(?<=[.!?]) ", text, maxsplit=1)[0]


def clip(message: str, longest: int = LONGEST) -> str:
    """Shorten a message, and remove this host's folders and characters that HTML cannot contain."""
    text = "".join(c for c in message.replace(f"{ROOT}/", "") if c.isprintable() or c == "\n")
    return text if len(text) <= longest else f"{text[:longest].rstrip()}… ({len(text)} characters)"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `page`."""
    parser.set_defaults(run=lambda options: print(f"wrote {write().relative_to(ROOT)}"))
