"""Describe a pull request in `body.md`: the claim, three lines of evidence, what stays the same, and folded details.

Every number comes from the verdicts, the staircase or git, and the text says what did not run. The same inputs give the same
bytes.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness import PATCHES, HarnessError, trees, world
from harness.report import SAYS, SHAPES, page, views
from harness.results import placeless
from harness.ship.pr import stairs
from harness.ship.pr.pulls import TOOLS, Pull

LONGEST = 110
# Nobody reads a longer body. Text that is folded does not count.
WORDS = 200


@dataclass(frozen=True)
class Facts:
    """What the bodies are made from.

    Attributes:
        lanes: the verdicts
        steps: the staircase
        stats: git's summary of each pull request
        alone: whether each applies to the release by itself, and its tests pass there
        proof: the address of the whole proof
    """

    lanes: Sequence[views.Lane]
    steps: Sequence[stairs.Step]
    stats: Sequence[str]
    alone: Sequence[bool]
    proof: str


def body(pull: Pull, facts: Facts, patches: Path = PATCHES) -> str:
    """Render the description of a pull request.

    Raises:
        HarnessError: the text mentions something that is not there, or has more words than people read
    """
    main = [lane for lane in facts.lanes if lane.name == lane.record["lane"]]
    ours = {patch.name for patch in pull.patches}
    every = views.bugs(main)
    turned = stairs.turned(facts.steps)
    context = {
        "pull": pull,
        "main": main,
        "record": main[0].record,
        "runs": views.runs(facts.lanes)["rows"],
        # Commands are for users of this repository, and not for readers of a pull request.
        "not_run": {name: re.sub(r": run `.+`$", "", why) for name, why in views.not_run(facts.lanes).items()},
        "bugs": [bug for bug in every if bug["patch"] in ours],
        "shown": _by_lane({lane.name: _shown(lane, ours) for lane in main}, "tests "),
        "kept": _by_lane({lane.name: lane.record["counts"].get("pass→pass", 0) for lane in main}),
        "bits": _by_lane({lane.name: lane.record["same bits"] for lane in main}, "tests "),
        "says": SAYS,
        "shapes": SHAPES,
        "matrix": {lane.name: list(_matrix(lane)) for lane in main},
        "subjects": {patch.name: page.read_patch(patch)["subject"] for patch in pull.patches},
        "turned": {name: [test.partition("::")[2] for test in tests] for name, tests in turned.items() if name in ours},
        "tests": [test for test in facts.steps[0].tests if test.startswith(f"tests/{pull.tests.name}::")],
        "green": _green(pull, facts.steps),
        "tools": page.read_patch(TOOLS)["subject"] if pull.number == 1 else "",
        "stat": facts.stats[pull.number - 1],
        "alone": facts.alone[pull.number - 1],
        "series": world.series_sha256(patches),
        "proof": facts.proof,
        "count": partial(_count, every),
        "line": _line,
    }
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"cell": cell}
    text = templates.get_template(f"{pull.name}.md.jinja").render(context)
    text = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
    if (found := words(text)) > WORDS:
        raise HarnessError(
            f"{pull.name}.md.jinja makes {found} words that are not folded, and nobody reads more than {WORDS}: cut it"
        )
    return text


def words(text: str) -> int:
    """Count the words of a body that are not folded."""
    return len(re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).split())


def cell(text: object, longest: int = LONGEST) -> str:
    """Fit a text into a cell of a Markdown table, without this host's folders and addresses."""
    words = re.sub(r"(?<![\w:/.])/(?:[^\s/'\"()]+/)+", "", placeless(" ".join(str(text).split())))
    words = "".join(c for c in words if c.isprintable())
    return (words if len(words) <= longest else f"{words[:longest].rstrip()}…").replace("|", r"\|").replace("`", "'")


def _matrix(lane: views.Lane) -> Iterator[str]:
    """Yield for each shape how many containers and dtypes give the spoken words from the right features, before and after."""
    rows = [row["cells"] for block in views.blocks(lane) for row in block["rows"]]
    for cells in zip(*rows, strict=True):
        kinds = {tree: [cell[tree]["kind"] for cell in cells] for tree in lane.runs}
        forms = len(cells) - kinds["patched"].count("none")
        yield f"{kinds['upstream'].count('right')} → {kinds['patched'].count('right')} of {forms}"


def _by_lane(counts: Mapping[str, int], what: str = "") -> str:
    """List the count of something on each lane that has any."""
    found = [f"{n} on {lane}" for lane, n in counts.items() if n]
    found[:1] = [first.replace(" ", f" {what}", 1) for first in found[:1]]
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def _shown(lane: views.Lane, patches: Container[str]) -> int:
    """Count the tests of a lane that show a bug that one of the patches fixes."""
    return len({test for bug in lane.record["bugs"] if bug["patch"] in patches for test in bug["shown"]})


def _green(pull: Pull, steps: Sequence[stairs.Step]) -> list[int]:
    """Count the tests of a pull request that pass before it and after each of its commits."""
    code = [patch.name for patch in pull.code]
    first = next(n for n, step in enumerate(steps) if step.patch == code[0])
    own = f"tests/{pull.tests.name}::"
    return [sum(test.startswith(own) for test in step.green) for step in steps[first - 1 : first + len(code)]]


def _count(bugs: Sequence[Mapping[str, Any]], *ids: str) -> str:
    """Say how many tests of some bugs fail as published and pass patched, on each lane.

    Raises:
        HarnessError: the verdict knows no such bug
    """
    found = [bug for bug in bugs if bug["id"] in ids]
    if len(found) != len(ids):
        raise HarnessError(f"a body mentions {', '.join(ids)}, but the verdict lacks some of them: correct one of the two")
    counts: dict[str, int] = {}
    for bug in found:
        for lane, sums in bug["lanes"].items():
            counts[lane] = counts.get(lane, 0) + sums["fixed"]
    return _by_lane(counts)


def _line(file: str, code: str) -> str:
    """Say where the published package has a line.

    Raises:
        HarnessError: it has no such line
    """
    lines = (trees.resolve("upstream").path / trees.PACKAGE / file).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if code in line:
            return f"`{file}:{number}`"
    raise HarnessError(f"a body mentions `{code}` in {file}, but the release has no such line: correct the text")
