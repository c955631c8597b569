"""The picture shows for each ability the results of its tests, and "not run" where they did not run."""

import json

import pytest
from harness.verdict.tests import test_evidence

from harness import census, evidence, world
from harness.catalogue import CATALOGUE, read_catalogue
from harness.results import Result, Run
from harness.show.figures.abilities import ABILITIES, DEMO, Cell, Column, Side, columns
from harness.show.tests import test_page
from harness.show.views import Lane

# The fixture of test_page.
patches = test_page.patches

LOAD = [f"tests/{function}[cpu]" for function in ABILITIES["load"].tests]
PASSED, FAILED, WARNED = Result("passed"), Result("failed", "RuntimeError"), Result("failed", "UserWarning")


def run(*results):
    """Make a run of the tests for "load"."""
    return Run(dict(zip(LOAD, results, strict=True)))


def shown(tmp_path, patches, upstream, patched):
    """Sum up the CPU from two runs."""
    lane = Lane("cpu", {"lane": "cpu"}, {"upstream": upstream, "patched": patched})
    return {column.device: column for column in columns([lane], tmp_path, patches, tmp_path / "evidence")}


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (PASSED, PASSED, "works"),
        (PASSED, FAILED, "fails"),
        (PASSED, WARNED, "warns"),
        (FAILED, WARNED, "fails"),
        (PASSED, Result("skipped"), "fails"),
    ],
)
def test_an_ability_works_only_if_each_of_its_tests_passed(tmp_path, patches, first, second, kind):
    cell = shown(tmp_path, patches, run(first, second), run(PASSED, PASSED))["cpu"].cells["load"]
    assert (cell.before.kind, cell.after.kind) == (kind, "works")


def test_what_a_lane_leaves_out_did_not_run(tmp_path, patches):
    half = Run({LOAD[0]: PASSED})
    found = shown(tmp_path, patches, half, half)
    assert list(found) == ["cpu", "sim", "xla", "mps", "cuda"]
    assert not any(column.cells for column in found.values())


@pytest.mark.parametrize("name", ABILITIES)
def test_the_suite_has_each_test_that_is_named(name):
    assert [test for test in ABILITIES[name].tests if test not in census.read()["cpu"]] == []


@pytest.fixture
def kept(tmp_path, patches):
    """Return a function that writes evidence of a lane that holds, with the census's counts and the catalogue's bugs."""

    def keep(lane, **changes):
        counts, bugs = census.totals(lane, lane), [bug.id for bug in read_catalogue(CATALOGUE).on(lane, "pinned")]
        tests = {bug: 1 for bug in bugs[1:]} | {bugs[0]: counts["fail→pass"] - len(bugs) + 1}
        record = {name: test_evidence.RECORD[name] for name in evidence.FIELDS}
        record |= {
            "lane": lane,
            "counts": counts,
            "same bits": census.same_bits(lane, lane),
            "digest": world.digest("pinned", patches),
            "stack": "pinned",
        }
        record |= {"bugs": [{"id": bug, "shown": n, "fixed": n} for bug, n in tests.items()]}
        folder = tmp_path / "evidence"
        folder.mkdir(exist_ok=True)
        (folder / f"{lane}.json").write_text(json.dumps(record | changes))
        return {column.device: column for column in columns([], tmp_path, patches, folder)}[lane]

    return keep


def test_evidence_that_holds_did_what_the_census_counts(kept):
    sim = kept("sim")
    assert sim.date == "2026-02-03"
    kinds = {name: (cell.before.kind, cell.after.kind) for name, cell in sim.cells.items()}
    assert kinds["decode"] == ("fails", "works") and kinds["transcribe"] == ("works", "works") and DEMO not in kinds
    assert sim.cells["transcribe"].before == sim.cells["transcribe"].after
    # On the CPU, training only fails the suite by a warning.
    assert kept("cpu").cells["train"].before.kind == "warns"


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "0"},
        {"holds": False},
        {"stack": "floor"},
        {"counts": census.totals("sim", "sim") | {"pass→pass": 1}, "same bits": 1},
    ],
    ids=["stale", "broken", "another-stack", "invented"],
)
def test_evidence_of_something_else_is_not_shown(kept, changes):
    assert kept("sim", **changes) == Column("sim", {})


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, {DEMO: Cell(Side(1, 0), Side(1, 1))}),
        ({"works": {"upstream": False, "patched": False}}, {DEMO: Cell(Side(1, 0), Side(1, 0))}),
        ({"digest": "0"}, {}),
    ],
)
def test_the_demo_works_where_it_was_talked_to(tmp_path, patches, changes, cells):
    record = {"works": {"upstream": False, "patched": True}, "device": "cpu", "digest": world.digest(patches=patches)}
    (tmp_path / "demo.json").write_text(json.dumps(record | changes))
    found = {column.device: column.cells for column in columns([], tmp_path, patches, tmp_path / "evidence")}
    assert found["cpu"] == cells and found["sim"] == {}
