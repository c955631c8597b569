"""The picture: which forms of audio each package takes, by container, dtype and shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report import views

SHAPES = ("n", "1×n", "n×1", "2×n", "n×2", "n×8")  # short names of `views.SHAPES`, in their order
TREES = ("upstream", "patched")


def templates(*, autoescape: bool = True) -> Environment:
    """Return the templates of this folder."""
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def draw(lanes: Sequence[views.Lane]) -> tuple[str, str]:
    """Draw the forms of audio as SVG, each with the worst result of its tests on these lanes, and describe them in words."""
    kinds: dict[tuple[str, str], dict[str, list[set[str]]]] = {}
    said = []
    for lane in lanes:
        counts = {tree: dict.fromkeys(views.WORST_FIRST, 0) for tree in TREES}
        for block in views.blocks(lane):
            for row in block["rows"]:
                known = kinds.setdefault((block["container"], row["dtype"]), {tree: [set() for _ in SHAPES] for tree in TREES})
                for tree in TREES:
                    for found, cell in zip(known[tree], row["cells"], strict=True):
                        found.add(cell[tree]["kind"])
                        counts[tree][cell[tree]["kind"]] += 1
        if total := sum(counts["patched"].values()) - counts["patched"]["none"]:
            before, after = (counts[tree]["right"] for tree in TREES)
            silent = counts["upstream"]["silent"]
            said.append(
                f"{lane.name} {before} of {total} right on {lane.version}, {silent} wrong without an error, {after} right patched"
            )
    rows = [
        {"container": container, "dtype": dtype, **{tree: [views.worst(found) for found in of[tree]] for tree in TREES}}
        for (container, dtype), of in kinds.items()
    ]
    words = f"Forms of audio, by dtype and shape: {'; '.join(said) or 'not run'}."
    context: dict[str, Any] = {
        "rows": rows,
        "shapes": SHAPES,
        "trees": TREES,
        "version": lanes[0].version,
        "lanes": [lane.name for lane in lanes],
        "words": words,
    }
    return templates().get_template("matrix.svg.jinja").render(context) + "\n", words
