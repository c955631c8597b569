"""The page says what the verdicts say, and browsers, readers and screen readers can navigate it."""

import base64
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from harness import ROOT, HarnessError, world
from harness.lane.results import Result, read_run
from harness.show import views
from harness.show.figures import plot
from harness.show.page import as_address, write
from harness.suite.catalogue import Bug, Catalogue, Reason
from harness.verdict.judge import judge

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
    ("cpu", "sim"),
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


class Page(HTMLParser):
    """The elements of a page. A tag that is closed out of order is an error."""

    VOID = ("meta", "link", "col", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


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
    folder.mkdir()
    (folder / "0001.patch").write_text(PATCH)
    return folder


def test_a_page_is_well_formed_and_every_link_leads_somewhere(out, patches):
    leave(out, patches)
    leave(out, patches, name="cpu-floor")
    page = Page(write(out, patches).read_text())
    ids, links = page.all("id"), {link for tag, attrs in page.tags if tag == "a" for link in [attrs["href"]]}
    assert len(ids) == len(set(ids))
    assert links - {f"#{id}" for id in ids} == {THREAD}
    assert {id for names in page.all("aria-labelledby") for id in names.split()} <= set(ids)
    assert {name for attribute in ("popovertarget", "id") for name in page.all(attribute)} == set(ids)
    assert all(source.startswith("data:") for source in page.all("src")) and "script" not in {tag for tag, _ in page.tags}
    assert [attrs["href"] for tag, attrs in page.tags if tag == "link"] == ["data:,"]


@pytest.mark.parametrize(
    ("changes", "own"), [({}, "cpu"), ({"stack": "floor"}, "cpu-floor"), ({"options": ["--checkpoint", "/x"]}, "real-cpu")]
)
def test_the_record_of_another_lane_is_not_shown_as_this_one(out, patches, changes, own):
    # A record that was copied into the folder of another lane was once drawn as that lane.
    leave(out, patches)
    leave(out, patches, name="sim", **{"lane": "cpu"} | changes)
    lanes, stale = views.read(out, patches)
    assert [lane.name for lane in lanes] == ["cpu"]
    assert stale == {"sim": f"out/sim contains the record of another lane, {own}"}


def test_headings_are_in_order_and_tables_say_what_they_are(out, patches):
    leave(out, patches)
    page = Page(write(out, patches).read_text())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table") == 4
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    assert all(tags.count(landmark) == 1 for landmark in ("main", "nav"))


def test_a_cell_leads_to_its_exception_and_to_its_transcript(out, patches):
    leave(out, patches)
    page = write(out, patches).read_text()
    assert page.count('popovertarget="cpu-numpy-float64-1d" aria-label="1 of 1 wrong words">≠<') == 1
    assert page.count('popovertarget="cpu-numpy-float64-1d" aria-label="1 of 1 right">✓<') == 1
    sheet = page.partition('id="cpu-numpy-float64-1d"')[2].partition("</section>")[0]
    assert "<b>TypeError</b>: deaf to" in sheet and "processor.py:7" in sheet
    before, after = sheet.split('<p class="heard">')[1:]
    assert before.startswith("&lt;script&gt;") and after.startswith("please try again")
    assert 'aria-label="no test">–<' in page


@pytest.mark.parametrize(
    ("result", "heard"),
    [
        (Result("passed", transcript="please try again"), "right"),
        (Result("failed", "AssertionError", transcript="please", words=True), "features"),
        (Result("failed", "AssertionError", transcript="peas", words=False), "wrong"),
        (Result("failed", "TypeError"), "refused"),
        (Result("skipped"), "skipped"),
    ],
)
def test_words_and_features_are_told_apart(result, heard):
    assert result.heard == heard


def test_what_others_wrote_is_escaped_and_names_no_folder_of_this_host(out, patches):
    leave(out, patches, problems=[EVIL], holds=False)
    table = {"title": EVIL, "columns": [EVIL, "b"], "rows": [[f"`{EVIL}`", EVIL]], "note": EVIL}
    table |= {"holds": True, "digest": world.digest(patches=patches)}
    (out / "alternatives.json").write_text(json.dumps(table))
    page = write(out, patches).read_text()
    assert "<script" not in page and f"<code>{EVIL.replace('<', '&lt;')[:4]}" in page
    assert str(ROOT) not in page and "\x1b" not in page
    assert "<script" not in (out / "matrix.svg").read_text()


def test_the_same_verdicts_give_the_same_bytes(out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    write(out, patches)
    program = (
        f"from pathlib import Path; from harness.show.page import write; write(Path({str(out)!r}), Path({str(patches)!r}))"
    )
    found = [(out / name).read_bytes() for name in ("report.html", "matrix.svg")]
    for seed in ("1", "2"):
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        assert [(out / name).read_bytes() for name in ("report.html", "matrix.svg")] == found


def test_a_verdict_that_does_not_hold_is_the_first_thing_said(out, patches):
    leave(out, patches)
    first = "<h1><span>liquid-audio 1.3.0</span> has 1 bug: each shown by tests, each fixed by a patch</h1>"
    assert first in write(out, patches).read_text()
    leave(out, patches, name="sim", after="failed")
    page = write(out, patches).read_text()
    assert "<h1>The verdict does not hold on sim</h1>" in page
    assert "deaf: not fixed on patched, 1 of its tests do not pass" in page
    assert '<span>cpu 1</span><span>sim 1 <b class="broken">0 fixed</b></span>' in page


@pytest.mark.parametrize("lost", [[WORKS], [NAMED, WORKS]])
def test_a_run_that_broke_off_is_a_verdict_that_does_not_hold(out, patches, lost):
    leave(out, patches, lost=lost)
    assert "<h1>The verdict does not hold on cpu</h1>" in write(out, patches).read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"digest": "0"}, world.STALE),
        ({"counts": {"fail→pass": 1, "pass→pass": 5}}, "not from the run of its verdict"),
        ({"same bits": None}, "no verdict that this version can read"),
    ],
)
def test_a_verdict_on_something_else_counts_for_nothing(out, patches, changes, reason):
    leave(out, patches, name="sim", **changes)
    with pytest.raises(HarnessError, match=rf"no verdict on this series; .*{reason}: run `nox -s verdict` first"):
        write(out, patches)
    leave(out, patches)
    page = write(out, patches).read_text()
    assert re.search(f"<h3>sim</h3>\n<p>Not run</p>\n<p[^>]*>[^<]*{reason}", page)
    assert 'id="lane-sim"' not in page


def test_a_lane_on_another_stack_is_folded_under_the_first(out, patches):
    leave(out, patches)
    leave(out, patches, name="cpu-floor", stack="floor")
    page = write(out, patches).read_text()
    assert "<summary>cpu-floor: the verdict holds</summary>" in page
    assert "python3 -m nox -s &#34;suite(floor)&#34;" in page
    assert "cpu-floor" not in (out / "matrix.svg").read_text()


def test_a_folded_lane_that_does_not_hold_is_unfolded_and_said_first(out, patches):
    leave(out, patches)
    leave(out, patches, name="cpu-floor", stack="floor", after="failed")
    page = write(out, patches).read_text()
    assert "<h1>The verdict does not hold on cpu-floor</h1>" in page
    assert '<details class="fold" open><summary>cpu-floor: the verdict does not hold</summary>' in page


def test_a_table_of_another_session_is_drawn_and_one_that_is_not_there_is_named(out, patches):
    leave(out, patches)
    table = {"title": "Each hunk is needed", "columns": ["hunk", "red"], "rows": [["0001 a.py", 3]], "note": "All are."}
    table |= {"holds": True, "digest": world.digest(patches=patches)}
    (out / "mutants.json").write_text(json.dumps(table))
    page = write(out, patches).read_text()
    assert 'role="rowheader">0001 a.py</th><td role="cell" data-column="red" class="short">3</td>' in page
    (line,) = re.findall(r"Not run on these files: .+", page)
    assert "Alternatives (<code>nox -s alternatives</code>)" in line and "Mutants" not in line
    assert '<details class="fold session" id="mutants"><summary><h3>Each hunk is needed</h3>' in page
    (out / "mutants.json").write_text(json.dumps({**table, "holds": False}))
    page = write(out, patches).read_text()
    assert '<details class="fold session" id="mutants" open>' in page and "<li>it does not say that it holds</li>" in page
    del table["digest"]
    (out / "mutants.json").write_text(json.dumps(table))
    assert "Mutants (<code>nox -s mutants</code>, stale)" in write(out, patches).read_text()


def test_all_tables_of_a_session_are_drawn_long_ones_folded_and_what_does_not_hold_is_said(out, patches):
    leave(out, patches)
    steps = {"title": "The staircase", "columns": ["after"], "rows": [[str(n)] for n in range(40)], "note": "Step by step."}
    table = {"title": "Hunks", "columns": ["hunk"], "rows": [["a"]], "note": "", "others": [steps], "problems": ["b is idle"]}
    table["digest"] = world.digest(patches=patches)
    (out / "mutants.json").write_text(json.dumps(table))
    page = write(out, patches).read_text()
    assert "<li>b is idle</li>" in page
    folded = page.partition(
        '<h4 class="other">The staircase</h4>\n<p>Step by step.</p>\n<details><summary>All 40 rows</summary>'
    )[2]
    assert 'role="rowheader">39</th>' in folded.partition("</details>")[0]


def test_pictures_of_the_demo_are_shown_with_its_table_before_and_after(out, patches):
    leave(out, patches)
    (out / "demo").mkdir()
    for name in ("patched-1-page", "upstream-1-terminal"):
        (out / "demo" / f"{name}.png").write_bytes(name.encode())
    assert "image/png" not in write(out, patches).read_text()
    table = {"title": "The demo", "columns": ["step"], "rows": [["start"]], "note": "", "holds": True}
    (out / "demo.json").write_text(json.dumps({**table, "digest": world.digest(patches=patches)}))
    shown = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', write(out, patches).read_text())
    assert [(base64.b64decode(data).decode(), said) for data, said in shown] == [
        ("upstream-1-terminal", "upstream terminal"),
        ("patched-1-page", "patched page"),
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"title": "t"}', '{"title": "", "columns": ["a"], "rows": [[]], "note": ""}'])
def test_a_table_that_is_none_is_refused(out, patches, text):
    leave(out, patches)
    (out / "alternatives.json").write_text(text)
    with pytest.raises(HarnessError, match=r"alternatives\.json .*: run `python3 -m nox -s alternatives`"):
        write(out, patches)


def test_a_patch_is_shown_with_its_subject_and_its_diff(out, patches):
    leave(out, patches)
    page = write(out, patches).read_text()
    assert "Hear with both ears</h3>" in page and "<code>0001.patch</code> +2 −1</summary>" in page
    assert '<span class="pass">+both &lt;ears&gt;</span>' in page and "Bug: none" not in page


def test_the_picture_has_a_title_and_a_sign_for_each_form_and_each_lane(out, patches):
    leave(out, patches)
    leave(out, patches, name="sim", after="failed")
    page = write(out, patches).read_text()
    svg = ElementTree.parse(out / "matrix.svg").getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    title = svg.find("s:title", space)
    assert title.get("id") == svg.get("aria-labelledby")
    assert "not run: cpu, sim, xla, mps, cuda. Forms of audio" in title.text  # none of their tests belongs to an ability
    assert title.text.endswith("cpu 1 of 2 on 1.3.0, 2 of 2 patched; sim 1 of 2 on 1.3.0, 1 of 2 patched.")
    (shown,) = re.findall(r'<img class="plot" src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', page)
    assert base64.b64decode(shown[0]) == (out / "matrix.svg").read_bytes() and shown[1] == title.text
    drawn = svg.find("s:g[@transform]", space)
    signs = Counter(use.get("href") for use in drawn.iter("{http://www.w3.org/2000/svg}use"))
    # The legend has one sign of each kind. If the lanes differ, a cell has a stripe for each.
    assert (signs["#s-right"], signs["#s-wrong"], signs["#h-right"], signs["#h-wrong"]) == (1 + 2, 1 + 1, 1, 1)
    assert {sign[1:] for sign in signs} <= {group.get("id") for group in svg.iterfind(".//s:defs/s:g", space)}
    assert "prefers-color-scheme: dark" in svg.find("s:style", space).text


@pytest.mark.parametrize("lanes", [("cpu", "sim"), ("cpu", "sim", "mps"), ("cpu", "sim", "cuda", "mps", "xla")], ids=len)
def test_a_stripe_has_room_for_its_sign_however_many_lanes_differ(out, patches, lanes):
    for name in lanes:
        leave(out, patches, name=name, after="failed" if name == "sim" else "passed")
    write(out, patches)
    svg = ElementTree.parse(out / "matrix.svg").getroot()
    (stripe,) = svg.iterfind(".//*[@id='h-wrong']/{*}rect")
    height = int(stripe.get("height"))
    drawn = svg.find("{*}g[@transform]")
    divided, others = [], []
    for use in drawn.iterfind("{*}use"):
        (divided if use.get("href").startswith("#h-") else others).append((int(use.get("y")), use.get("href")[3:]))
    tops = [top for top, _ in divided]
    # The stripes are in the order of the lanes, as in the caption, and do not overlap.
    assert [kind for _, kind in divided] == ["wrong" if name == "sim" else "right" for name in lanes]
    assert height >= 7 and all(below - above > height for above, below in pairwise(tops))
    # Nor do they overlap the adjacent rows.
    outside = [top for top, _ in others if not tops[0] <= top <= tops[-1]]
    assert outside and all(top + 15 < tops[0] or top > tops[-1] + height for top in outside)
    (offset,) = re.findall(r"translate\(0 (\d+)\)", drawn.get("transform"))
    assert int(offset) + max(tops) + height < int(svg.get("height"))


def test_what_was_drawn_from_a_table_is_shown_with_it_and_not_with_another(out, patches):
    leave(out, patches)
    table = {"title": "The comparison", "columns": ["who"], "rows": [["a"]], "note": "", "holds": True}
    file = out / "compare.json"
    file.write_text(json.dumps({**table, "digest": world.digest(patches=patches)}))
    svg = f"<svg><dc:title>Word &amp; error</dc:title><dc:source>{plot.sha256(file)}</dc:source></svg>"
    (out / "compare.svg").write_text(svg)
    assert f'src="{as_address(svg)}" alt="Word &amp; error">' in write(out, patches).read_text()
    (out / "compare.svg").write_text(svg.replace(plot.sha256(file), "0"))
    assert "Word" not in write(out, patches).read_text()


def test_a_device_that_did_not_run_stands_beside_those_that_did(out, patches):
    leave(out, patches)
    page = write(out, patches).read_text()
    cards = page.partition('<ul class="lanes">')[2].partition("</ul>")[0]
    assert re.findall(r"<h3[^>]*>(.+)</h3>", cards) == ["cpu", "mps", "sim"]
    assert "Needs <code>macOS</code>." in cards and page.index("<h3>mps</h3>") < page.index('<h2 id="bugs">')
