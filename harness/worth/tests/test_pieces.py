"""Each piece of a patch can be taken out separately and exactly."""

import subprocess

import pytest

from harness.worth.pieces import carry, cut, read_hunks

BEFORE = '''\
import os


def greet(name):
    """Greet somebody."""
    name = name.strip()
    print("hello", name)


def leave():
    print("bye")
'''
AFTER = '''\
import os
import sys


def greet(name):
    """Greet a person."""
    name = name.strip()
    if not name:
        return
    name = name.title()
    print("hello", name)


def leave():
    print("goodbye")
'''


@pytest.fixture
def tree(tmp_path):
    """A tree with a patch applied, next to that patch."""
    sides = [tmp_path / side / "src" / "liquid_audio" / "greet.py" for side in "ab"]
    for file, text in zip(sides, (BEFORE, AFTER), strict=True):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    command = ["git", "diff", "--no-index", "--no-prefix", "-U1", "a", "b"]
    (tmp_path / "0001.patch").write_text(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout)
    return tmp_path / "b" / "src"


@pytest.fixture
def pieces(tree):
    return list(cut(tree.parent.parent / "0001.patch", tree))


def test_a_patch_is_cut_into_hunks_runs_and_statements(pieces):
    assert [(piece.kind, piece.line, piece.head) for piece in pieces] == [
        ("hunk", 2, "import sys"),
        ("hunk", 6, '"""Greet a person."""'),
        ("run", 6, '"""Greet a person."""'),
        ("run", 8, "if not name:"),
        ("statement", 8, "if not name:"),
        ("statement", 10, "name = name.title()"),
        ("hunk", 15, 'print("goodbye")'),
    ]


def test_without_all_its_hunks_a_patch_leaves_nothing(tree):
    lines = (tree / "liquid_audio" / "greet.py").read_text().splitlines(keepends=True)
    for hunk in reversed(list(read_hunks(tree.parent.parent / "0001.patch"))):
        lines = hunk.whole.undo(lines).splitlines(keepends=True)
    assert "".join(lines) == BEFORE


def test_what_was_replaced_comes_back(pieces):
    assert pieces[2].text == AFTER.replace("a person", "somebody")
    assert pieces[4].text == AFTER.replace("    if not name:\n        return\n", "")


def test_comments_and_docstrings_are_words(pieces):
    assert [piece.head for piece in pieces if piece.words] == ['"""Greet a person."""']


def test_a_removal_is_carried_over_what_later_patches_changed_elsewhere(tree, pieces, tmp_path):
    whole = tmp_path / "liquid_audio" / "greet.py"
    whole.parent.mkdir()
    whole.write_text(f"# first\n{AFTER}")
    assert carry(pieces[4], tree, tmp_path) == f"# first\n{pieces[4].text}"


def test_a_removal_of_lines_that_a_later_patch_rewrote_is_not_carried(tree, pieces, tmp_path):
    whole = tmp_path / "liquid_audio" / "greet.py"
    whole.parent.mkdir()
    whole.write_text(AFTER.replace("if not name:", "if name is None:"))
    assert carry(pieces[4], tree, tmp_path) is None


def test_a_new_file_goes_as_a_whole(tmp_path):
    (tmp_path / "liquid_audio").mkdir()
    (tmp_path / "liquid_audio" / "new.py").write_text("one = 1\ntwo = 2\n")
    patch = tmp_path / "0001.patch"
    patch.write_text("--- /dev/null\n+++ b/src/liquid_audio/new.py\n@@ -0,0 +1,2 @@\n+one = 1\n+two = 2\n")
    pieces = list(cut(patch, tmp_path))
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("hunk", ""),
        ("statement", "two = 2\n"),
        ("statement", "one = 1\n"),
    ]
    assert carry(pieces[0], tmp_path, tmp_path) == ""
