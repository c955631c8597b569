"""A catalogue is rejected if a bug in it cannot be checked."""

import re

import pytest

from harness import HarnessError
from harness.catalogue import CATALOGUE, by_kind, read_catalogue
from harness.trees import series

ENTRY = """\
[[bug]]
id = "a"
kind = "wrong"
title = "t"
patch = "p"
reasons = [{ type = "E", message = "m", judged = "all" }]
tests = ["t"]
"""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ENTRY.replace("wrong", "odd"), "a is of kind 'odd', expected one of wrong, refuses, lacks"),
        (ENTRY.replace('"m"', '"m|.*"'), "a reason of a matches other messages, too: 'm|.*'"),
        (ENTRY.replace('"m"', '"e"'), "a reason of a matches other messages, too: 'e'"),
        (ENTRY.replace('"m"', '"m("'), "bugs.toml cannot be read: missing ), unterminated subpattern"),
        (ENTRY.replace(', judged = "all"', ""), "each reason of a must say either where in the package it comes from"),
        (ENTRY.replace('["t"]', "[]"), "a needs reasons and tests"),
        (ENTRY * 2, "has the id a twice"),
        (ENTRY.replace('"a"', "a"), "bugs.toml cannot be read: Invalid value (at line 2"),
        (ENTRY.replace("title", "name"), "bugs.toml cannot be read: Bug.__init__() got an unexpected keyword argument 'name'"),
    ],
)
def test_an_entry_that_cannot_be_checked_is_refused(tmp_path, entry, said):
    (tmp_path / "bugs.toml").write_text(entry)
    with pytest.raises(HarnessError, match=re.escape(said)):
        read_catalogue(tmp_path / "bugs.toml")


def test_kinds_are_counted_apart():
    assert by_kind(["wrong", "lacks", "wrong"]) == "2 bugs, 1 gap"


def test_every_bug_names_a_patch_of_the_series_and_every_patch_fixes_a_bug():
    assert {bug.patch for bug in read_catalogue(CATALOGUE).bugs} == {patch.name for patch in series()}
