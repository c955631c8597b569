"""The folders of the harness are its stages."""

import ast
import re

import pytest

from harness import ROOT, STAGES
from harness.__main__ import COMMANDS

HARNESS = ROOT / "harness"
MOST_MODULES, MOST_LINES, MOST_WORDS = 8, 250, 3
# The files for upstream are not modules of the harness.
SENT = set((HARNESS / "ship" / "pr").glob("test_*.py"))
MODULES = [file for file in sorted(HARNESS.rglob("*.py")) if "tests" not in file.parts and file not in SENT]
FOLDERS = sorted({file.parent for file in MODULES} - {HARNESS})


def stage_of(file):
    """Return the stage that a file is in; None for the modules that all stages share."""
    parts = file.relative_to(HARNESS).parts
    return parts[0] if len(parts) > 1 else None


def named(path):
    return path.relative_to(HARNESS).as_posix()


def test_every_folder_is_a_stage_or_a_part_of_one():
    assert {stage_of(file) for file in MODULES} == {None, *STAGES}


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
    assert listed == {(module.split(".")[0], name) for name, (module, _) in COMMANDS.items()}
    missing = [target for target in re.findall(r"\]\(([^)#]+)\)", words) if not (HARNESS / target).exists()]
    assert missing == []
