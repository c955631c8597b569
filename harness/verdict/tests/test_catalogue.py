"""A catalogue is rejected if a bug in it cannot be checked."""

import pytest

from harness import HarnessError
from harness.package.trees import series
from harness.verdict.catalogue import CATALOGUE, by_kind, read_catalogue

ENTRY = """\
[[bug]]
id = "a"
kind = "wrong"
title = "t"
patch = "p"
lanes = ["cpu"]
reasons = [{ type = "E", message = "", judged = "all" }]
tests = ["t"]
"""


def test_an_entry_is_of_a_kind_that_is_known(tmp_path):
    (tmp_path / "bugs.toml").write_text(ENTRY.replace("wrong", "odd"))
    with pytest.raises(HarnessError, match=r"^bugs\.toml: a is of kind 'odd', expected one of wrong, refuses, lacks$"):
        read_catalogue(tmp_path / "bugs.toml")


def test_kinds_are_counted_apart():
    assert by_kind(["wrong", "lacks", "wrong"]) == "2 bugs, 1 gap"


def test_an_id_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "bugs.toml").write_text(ENTRY * 2)
    with pytest.raises(HarnessError, match="has the id a twice"):
        read_catalogue(tmp_path / "bugs.toml")


def test_every_bug_names_a_patch_of_the_series_and_every_patch_fixes_a_bug():
    assert {bug.patch for bug in read_catalogue(CATALOGUE).bugs} == {patch.name for patch in series()}
