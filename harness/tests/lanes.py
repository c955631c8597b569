"""The files of invented lanes, for tests of everything that reads `out/`."""

import json
from dataclasses import asdict

import pytest

from harness import ROOT, world
from harness.catalogue import Bug, Catalogue, Reason
from harness.judge import judge
from harness.results import read_run

FORM = "tests/test_transcription.py::test_audio_format_transcribes_correctly[cpu-{}-{}-float32-a-clip]".format
NAMED, WORKS = FORM("numpy-float64", "1d"), FORM("torch-float32", "1xn")
EVIL = '<script>alert("1")</script>'
HOSTILE = {"type": "TypeError", "message": f"{ROOT}/deaf to {EVIL}\x1b[0m", "where": "processor.py:7"}
THREAD = "https://github.com/Liquid4All/liquid-audio/issues/26"
BUG = Bug(
    "deaf",
    "wrong",
    f"It hears {EVIL}",
    "0001.patch",
    (Reason("TypeError", "deaf", judged="it"),),
    ("test_transcription.py::*numpy*",),
    (THREAD,),
)
PATCH = """From 0000 Mon Sep 17 00:00:00 2001
Subject: [PATCH] Hear with
 both ears

It did not.

Bug: none
---
 a.py | 3 ++-

diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1 +1,2 @@
-deaf
+both <ears>
+hear
"""


def leave(out, patches, *, name="cpu", after="passed", lost=(), **changes):
    """Write the files of a lane to a folder."""
    folder = out / name
    folder.mkdir(parents=True)
    failed = {"outcome": "failed", "user_properties": [["transcript", EVIL], ["exception", HOSTILE]]}
    expected = failed | {"outcome": "skipped", "wasxfail": BUG.id}
    passed = {"outcome": "passed", "user_properties": [["transcript", "please try again"]]}
    second = passed if after == "passed" else failed
    for tree, outcomes in {"upstream": {NAMED: expected, WORKS: passed}, "patched": {NAMED: second, WORKS: passed}}.items():
        reports = [
            {"$report_type": "TestReport", "nodeid": test, "when": "call", "duration": 0.5, "longrepr": "", **outcome}
            for test, outcome in outcomes.items()
            if test not in lost
        ]
        red = any(report["outcome"] == "failed" for report in reports)
        end = [] if lost else [{"$report_type": "SessionFinish", "exitstatus": int(red)}]
        (folder / f"{tree}.jsonl").write_text("\n".join(map(json.dumps, [*reports, *end])))
    lane, _, stack = name.partition("-")
    runs = [read_run(folder / f"{tree}.jsonl") for tree in ("upstream", "patched")]
    verdict = judge(*runs, Catalogue((BUG,)), lane)
    record = {
        "holds": verdict.holds,
        "lane": lane,
        "stack": stack or "pinned",
        "date": "2026-11-22",
        "problems": verdict.problems,
        "counts": verdict.counts,
        "same bits": verdict.same_bits,
        "bugs": [{**asdict(shown.bug), "shown": shown.tests, "fixed": shown.fixed} for shown in verdict.shown],
        "release": {"version": "1.3.0", "sha256": "abc"},
        "trees": {"upstream": "one", "patched": "other"},
        "series": ["0001.patch"],
        "series sha256": world.series_sha256(patches),
        "lock sha256": "",
        "digest": world.digest(changes.get("stack", stack or "pinned"), patches),
        "host": {"system": "Linux", "machine": "x86_64", "device": "a CPU", "python": "3.12"},
        "packages": {"torch": "2"},
        "options": [],
        "not run": {"mps": "needs `macOS`", "sim": "not asked for"},
        "seconds": {"upstream": 1.0},
        **changes,
    }
    (folder / "verdict.json").write_text(json.dumps(record))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def patches(tmp_path):
    folder = tmp_path / "patches"
    for part in (folder, folder / "readme"):
        part.mkdir()
    (folder / "0001.patch").write_text(PATCH)
    alone = PATCH.replace("Hear with\n both ears\n\nIt did not.\n\nBug: none\n", "Say so\n\n").replace("a.py", "README.md")
    (folder / "readme" / "0002.patch").write_text(alone)
    return folder
