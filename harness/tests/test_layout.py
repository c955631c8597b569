"""The folders of the harness are its stages, in an order that the imports follow."""

import ast
import re

import pytest

from harness import ROOT, STAGES
from harness.__main__ import COMMANDS

HARNESS = ROOT / "harness"
MOST_MODULES, MOST_LINES, MOST_WORDS = 8, 300, 3
# The files for upstream are not modules of the harness.
SENT = set((HARNESS / "ship" / "pr").glob("test_*.py"))
MODULES = [file for file in sorted(HARNESS.rglob("*.py")) if "tests" not in file.parts and file not in SENT]
FOLDERS = sorted({file.parent for file in MODULES} - {HARNESS})


def imported(source):
    """List the dotted names that a module imports from the harness, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "harness")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "harness":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def backwards(source, stage):
    """List the imports that a module of this stage, or of no stage, may not have."""
    allowed = STAGES[: STAGES.index(stage) + 1] if stage else ()
    return [name for name in imported(source) if name.split(".")[1] in STAGES and name.split(".")[1] not in allowed]


def stage_of(file):
    """Return the stage that a file is in; None for the modules that all stages share."""
    parts = file.relative_to(HARNESS).parts
    return parts[0] if len(parts) > 1 else None


def named(path):
    return path.relative_to(HARNESS).as_posix()


def test_every_folder_is_a_stage_or_a_part_of_one():
    assert {stage_of(file) for file in MODULES} == {None, *STAGES}


def test_a_module_imports_from_its_own_stage_and_from_earlier_ones():
    # A command beside the stages imports from any of them, and nothing imports it.
    commands = {HARNESS / f"{module}.py" for module, _ in COMMANDS.values()} | {HARNESS / "__main__.py"}
    modules = [file for file in MODULES if stage_of(file) or file not in commands]
    found = {named(file): backwards(file.read_text(encoding="utf-8"), stage_of(file)) for file in modules}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "stage", "found"),
    [
        ("from harness import show", "verdict", ["harness.show"]),
        ("import harness.show.page", "verdict", ["harness.show.page"]),
        ("def late():\n    from harness.ship.wheel import build", "cost", ["harness.ship.wheel.build"]),
        ("from harness.package import trees", None, ["harness.package.trees"]),
        ("from harness.package import trees\nfrom harness import OUT, world", "package", []),
    ],
)
def test_an_import_that_goes_backwards_is_found(source, stage, found):
    assert backwards(source, stage) == found


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_folder_says_in_three_lines_what_it_is_and_has_eight_modules_at_the_most(folder):
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert words and len(words.splitlines()) <= MOST_WORDS
    assert len([file for file in MODULES if file.parent == folder and not file.stem.startswith("__")]) <= MOST_MODULES


def test_a_module_is_read_in_a_sitting():
    lines = {named(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {file: n for file, n in lines.items() if n > MOST_LINES} == {}


def test_the_map_names_every_stage_in_order_and_every_command_beside_its_own():
    words = (HARNESS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+)/`\]\(\w+\) \|.*\| (.*?) \|$", words, re.MULTILINE)
    assert tuple(stage for stage, _ in rows) == STAGES
    listed = {(stage, name) for stage, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {(module.split(".")[0], name) for name, (module, _) in COMMANDS.items() if "." in module}
    missing = [target for target in re.findall(r"\]\(([^)#]+)\)", words) if not (HARNESS / target).exists()]
    assert missing == []
