"""Write the kit, out/pr/: the patches as commits, and what to say of them, `body.md` and one such text for each.

Every number in the texts is from the verdicts, the staircase or git; what did not run is said. The same ones give the same bytes.
"""

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness import OUT, PATCHES, ROOT, HarnessError, world
from harness.package import series, trees
from harness.ship.pr import stairs
from harness.show import page, views
from harness.verdict.catalogue import by_kind
from harness.verdict.report import SAYS, SHAPES

# A longer table stays in its file: its note has the sums.
ROWS = 6
LONGEST = 110
# Lanes that nobody may take for granted.
WANTED = ("cuda", "mps")


def write(out: Path = OUT, patches: Path = PATCHES, *, author: str | None = None, upstream: Path | None = None) -> Path:
    """Climb the staircase, and write the kit.

    Args:
        out: the folder that has the verdicts, and gets the kit
        patches: the series that the verdicts must be about
        author: who sends it, "Name <address>", or None for whom git knows
        upstream: a checkout of upstream's repository to try it on

    Returns:
        the kit's folder

    Raises:
        HarnessError: there is no verdict on this series, or something that does not hold; the staircase is wrong
    """
    author = author or sender()
    lanes = read(out, patches)
    page.write(out, patches)  # for the picture, of the same verdicts
    partial_kit, kit = out / "pr.partial", out / "pr"
    shutil.rmtree(partial_kit, ignore_errors=True)
    partial_kit.mkdir()
    try:
        stat = stairs.export(partial_kit, author, patches, upstream)
        print("running the tests of the pull request after each commit", flush=True)
        steps = stairs.climb(patches)
        for name, text in texts(out, patches, lanes, steps, stat).items():
            (partial_kit / name).write_text(text, encoding="utf-8")
        shutil.copy(out / "matrix.svg", partial_kit)
        shutil.rmtree(kit, ignore_errors=True)
        partial_kit.rename(kit)
    finally:
        shutil.rmtree(partial_kit, ignore_errors=True)
    return kit


def sender() -> str:
    """Ask git who would commit here.

    Raises:
        HarnessError: it does not know
    """
    asked = (
        subprocess.run(["git", "config", f"user.{n}"], cwd=ROOT, capture_output=True, text=True) for n in ("name", "email")
    )
    name, address = (done.stdout.strip() for done in asked)
    if not (name and address):
        raise HarnessError(
            'git does not know who sends the series: set user.name and user.email, or --author "Name <address>"'
        )
    return f"{name} <{address}>"


def read(out: Path, patches: Path) -> list[views.Lane]:
    """Read the verdicts on a series, each of which must hold, as must what other sessions left.

    Raises:
        HarnessError: there is none, or something does not hold
    """
    lanes, stale = views.read(out, patches)
    if not any(lane.name == "cpu" for lane in lanes):
        reasons = "; ".join(["there is no verdict for the CPU on this series", *stale.values()])
        raise HarnessError(f"{reasons}: run `nox -s verdict` first")
    if broken := [lane.name for lane in lanes if not lane.record["holds"]]:
        raise HarnessError(f"the verdict does not hold on {', '.join(broken)}: that comes before a pull request")
    if wrong := [problem for table in _tables(out, patches) for problem in table["problems"]]:
        raise HarnessError(f"{wrong[0]}: that comes before a pull request")
    return lanes


def _tables(out: Path, patches: Path) -> list[dict[str, Any]]:
    return [page.read_table(out / f"{name}.json", title, patches) for name, title in page.TABLES.items()]


def texts(out: Path, patches: Path, lanes: Sequence[views.Lane], steps: Sequence[stairs.Step], stat: str) -> Mapping[str, str]:
    """Render what to say: `body.md`, and `<number>.md` for each patch.

    Args:
        out: the folder that may have tables of other sessions
        patches: the series
        lanes: its verdicts
        steps: its staircase
        stat: git's summary of it

    Raises:
        HarnessError: a text speaks of what is not there
    """
    main = [lane for lane in lanes if lane.name == lane.record["lane"]]
    record = main[0].record
    not_run = views.not_run(lanes)
    bugs = [{**bug, "words": _words(bug)} for bug in views.bugs(main)]
    context = {
        "lanes": lanes,
        "main": main,
        "runs": views.runs(lanes)["rows"],
        "about": page.ABOUT,
        "record": record,
        "shapes": SHAPES,
        "matrix": {lane.name: list(_matrix(lane)) for lane in main},
        "missing": [name for name in WANTED if name in not_run],
        "not_run": not_run,
        "bugs": bugs,
        "kinds": by_kind(bug["kind"] for bug in bugs),
        "says": SAYS,
        "patches": {name: page.read_patch(patches / name) for name in record["series"]},
        "turned": stairs.turned(steps),
        "steps": steps,
        "tests": stairs.TESTS.name,
        "counts": {lane.name: _counts(lane) for lane in lanes},
        "on_sim": sum("sim" in bug["lanes"] for bug in bugs),
        "stat": stat.rstrip(),
        "tables": _tables(out, patches),
        "rows": ROWS,
        "series": world.series_sha256(patches),
        "shown": partial(_shown, bugs),
        "line": _line,
    }
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"cell": cell}
    found = {"body.md": templates.get_template("body.md.jinja").render(context) + "\n"}
    for patch in series.whole(patches) + series.outside(patches):
        about = {"patch": page.read_patch(patch), "own": [bug for bug in bugs if bug["patch"] == patch.name]}
        found[f"{patch.name[:4]}.md"] = templates.get_template("patch.md.jinja").render(context | about) + "\n"
    return found


def cell(text: object, longest: int = LONGEST) -> str:
    """Fit a text into a cell of a Markdown table, without this host's folders and addresses."""
    words = re.sub(r"(?<![\w:/.])/(?:[^\s/'\"()]+/)+|(?<=\b0x)[0-9a-f]{6,}", "", " ".join(str(text).split()))
    words = "".join(c for c in words if c.isprintable())
    return (words if len(words) <= longest else f"{words[:longest].rstrip()}…").replace("|", r"\|").replace("`", "'")


def _words(bug: Mapping[str, Any]) -> str:
    """Give the exception that most tests of a bug gave, or, where nothing was raised, what most of them found."""
    found: Mapping[tuple[str, str, str], int] = bug["exceptions"]
    silent = bug["title"].startswith("Silently wrong")
    raised = {key: n for key, n in found.items() if not _by_a_test(*key)}
    key, _ = max(((found if silent else raised) or found).items(), key=lambda item: (item[1], item[0]))
    kind, message, where = key
    if _by_a_test(*key):
        return f"no exception, {message}"
    return f"{kind}: {message}" if message else f"{kind} without a message, {where}"


def _by_a_test(kind: str, _: str, where: str) -> bool:
    """Say whether it was a test that judged, and nothing that it tests that raised."""
    return kind == "Failed" or (kind == "AssertionError" and where.startswith(("test_", "_comparison.py")))


def _matrix(lane: views.Lane) -> Iterator[str]:
    """Say for each shape in how many containers and dtypes it gives the spoken words from the right features, before and after."""
    rows = [row["cells"] for block in views.blocks(lane) for row in block["rows"]]
    for cells in zip(*rows, strict=True):
        kinds = {tree: [cell[tree]["kind"] for cell in cells] for tree in lane.runs}
        forms = len(cells) - kinds["patched"].count("none")
        yield f"{kinds['upstream'].count('right')} → {kinds['patched'].count('right')} of {forms}"


def _counts(lane: views.Lane) -> str:
    """Count the tests of a lane by what became of them."""
    counts: Mapping[str, int] = lane.record["counts"]
    became = [f"{counts.get(kind, 0)} {kind}" for kind in ("fail→pass", "pass→pass", "pass→fail")]
    skipped = sum(n for kind, n in counts.items() if "skip" in kind)
    return f"{', '.join(became)}, {skipped} skipped; {lane.record['same bits']} gave the same bits before and after"


def _shown(bugs: Sequence[Mapping[str, Any]], *ids: str) -> str:
    """Say how many tests of some bugs fail as published and pass patched, on each lane.

    Raises:
        HarnessError: the verdict knows no such bug
    """
    found = [bug for bug in bugs if bug["id"] in ids]
    if len(found) != len(ids):
        raise HarnessError(
            f"body.md.jinja speaks of {', '.join(ids)}, and the verdict has not all of them: correct one of the two"
        )
    counts: dict[str, int] = {}
    for bug in found:
        for lane, sums in bug["lanes"].items():
            counts[lane] = counts.get(lane, 0) + sums["fixed"]
    return " and ".join(f"{n} on {lane}" for lane, n in counts.items())


def _line(file: str, code: str) -> str:
    """Say where the published package has a line.

    Raises:
        HarnessError: it has not
    """
    lines = (trees.resolve("upstream").path / trees.PACKAGE / file).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if code in line:
            return f"`{file}:{number}`"
    raise HarnessError(f"body.md.jinja speaks of `{code}` in {file}, and the release has no such line: correct the text")


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `pr`."""
    parser.add_argument("--author", help='who sends it, "Name <address>" (default: as git is set up)')
    parser.add_argument("--checkout", type=Path, help="try it on a checkout of upstream's repository")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    folder = write(author=options.author, upstream=options.checkout).relative_to(ROOT)
    print(f"wrote {folder}/: git am takes its patches, and body.md is what to say")
