"""The data of the picture: abilities by device, and audio by form with the lanes in each cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.report import SHAPES
from harness.show import views
from harness.show.figures import abilities
from harness.show.figures.abilities import ABILITIES, Column


def context(lanes: Sequence[views.Lane], out: Path, patches: Path) -> dict[str, Any]:
    """Collect the variables of the picture's template.

    Args:
        lanes: the lanes that ran; those on another stack or with another checkpoint are left out
        out: the folder that may contain the demo's results
        patches: the series
    """
    release = lanes[0].record["release"]
    own = [lane for lane in lanes if lane.name == lane.record["lane"]]
    columns, laid = abilities.columns(own, out, patches), forms(own)
    seen = {side.kind for column in columns for cell in column.cells.values() for side in (cell.before, cell.after)}
    seen |= {kind for row in laid["rows"] for cells in row["cells"] for cell in cells for tree in cell for kind in cell[tree]}
    return {
        "devices": columns,
        "abilities": ABILITIES,
        "forms": laid,
        "seen": seen,
        "shapes": SHAPES,
        "words": words(columns, own, str(release["version"])),
        "release": release,
    }


def forms(lanes: Sequence[views.Lane]) -> dict[str, Any]:
    """Lay out audio by form: a row for each dtype, a cell for each container and shape, and in it a kind for each lane.

    A row in which lanes differ has a stripe for each lane.
    """
    kinds: dict[tuple[str, str, str], dict[str, dict[str, str]]] = {}
    for lane in lanes:
        for block in views.blocks(lane):
            for row in block["rows"]:
                for cell in row["cells"]:
                    for tree in ("upstream", "patched"):
                        form = (block["container"], row["dtype"], cell["shape"])
                        kinds.setdefault(form, {}).setdefault(tree, {})[lane.name] = cell[tree]["kind"]
    names = list(dict.fromkeys(lane for trees in kinds.values() for tree in trees.values() for lane in tree))
    containers = sorted({container for container, _, _ in kinds})
    dtypes = sorted({dtype for _, dtype, _ in kinds}, key=views.by_size)

    def both(container: str, dtype: str, shape: str) -> dict[str, list[str]]:
        found = kinds.get((container, dtype, shape), {})
        return {tree: [found.get(tree, {}).get(name, "none") for name in names] for tree in ("upstream", "patched")}

    rows = []
    for dtype in dtypes:
        cells = [[both(container, dtype, shape) for shape in SHAPES] for container in containers]
        differ = any(len(set(found)) > 1 for row in cells for cell in row for found in cell.values())
        rows.append({"dtype": dtype, "cells": cells, "stripes": len(names) if differ else 1})
    return {"containers": containers, "rows": rows, "lanes": names}


def words(columns: Sequence[Column], lanes: Sequence[views.Lane], version: str) -> str:
    """Describe the picture, for readers who cannot see it."""
    ran = [
        f"{column.device}{f' (evidence of {column.date})' * bool(column.date)} {column.count('before')} of {len(column.cells)} on {version}, "
        f"{column.count('after')} of {len(column.cells)} patched"
        for column in columns
        if column.cells
    ]
    none = [column.device for column in columns if not column.cells]
    ran += [f"not run: {', '.join(none)}"] if none else []
    said = f"What runs where ({', '.join(ABILITIES)}): {'; '.join(ran)}."
    taken = []
    for lane in lanes:
        cells = [cell for block in views.blocks(lane) for row in block["rows"] for cell in row["cells"]]
        right = {tree: sum(cell[tree]["kind"] == "right" for cell in cells) for tree in lane.runs}
        forms = sum(cell["patched"]["kind"] != "none" for cell in cells)
        if cells:
            taken.append(f"{lane.name} {right['upstream']} of {forms} on {version}, {right['patched']} of {forms} patched")
    if taken:
        said += f" Forms of audio, by dtype and shape, that give the spoken words from the right features: {'; '.join(taken)}."
    return said


def table(columns: Sequence[Column]) -> dict[str, Any]:
    """Make the table of the tests behind each row of the picture, and how many of them passed before and after."""
    shown = [column for column in columns if column.cells]
    rows = []
    for name, ability in ABILITIES.items():
        tests = ", ".join(f"`{test}`" for test in ability.tests) or "`nox -s demo`"
        cells = (column.cells.get(name) for column in shown)
        rows.append(
            [name, tests, *(f"{c.before.passed} → {c.after.passed} of {c.after.tests}" if c else "not run" for c in cells)]
        )
    return {"columns": ["ability", "tests", *(column.device for column in shown)], "rows": rows}
