"""The page says what the verdicts say, and nothing that others wrote can break it."""

import base64
import json
import re
from xml.etree import ElementTree

import pytest

from harness import ROOT, HarnessError, world
from harness.report.page import read_table, write
from harness.tests import lanes
from harness.tests.lanes import EVIL, THREAD, leave

out, patches = lanes.out, lanes.patches
TABLE = {"title": "Each hunk is needed", "columns": ["hunk"], "rows": [["a"]], "note": "", "others": [], "holds": True}


def keep(out, patches, **changes):
    """Write the table of another session."""
    (out / "mutants.json").write_text(json.dumps({**TABLE, "digest": world.digest(patches=patches), **changes}))


def test_the_page_needs_no_other_file_and_links_to_the_patches_and_threads(out, patches):
    leave(out, patches)
    page = write(out, patches).read_text()
    links = set(re.findall(r'<a href="([^"]+)"', page))
    assert links == {"../patches/0001.patch", THREAD} and (out / "../patches/0001.patch").is_file()
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]+)"', page)) and "<script" not in page


def test_what_others_wrote_is_escaped_and_names_no_folder_of_this_host(out, patches):
    leave(out, patches, problems=[EVIL], holds=False)
    keep(out, patches, title=EVIL, columns=[EVIL, "b"], rows=[[f"`{EVIL}`", EVIL]], note=EVIL)
    page = write(out, patches).read_text()
    assert "<script" not in page and "<code>&lt;script" in page
    assert str(ROOT) not in page and "\x1b" not in page


def test_a_lane_that_does_not_hold_is_said_first_with_its_problems(out, patches):
    leave(out, patches)
    assert "The patches fix all of them.</h1>" in write(out, patches).read_text()
    leave(out, patches, name="cpu-floor", after="failed")
    page = write(out, patches).read_text()
    assert "<h1>The verdict does not hold on cpu-floor</h1>" in page
    assert "<li>deaf: not fixed on patched, 1 of its tests do not pass</li>" in page


def test_what_did_not_run_is_neutral_and_says_why(out, patches):
    leave(out, patches)
    leave(out, patches, name="xla", digest="0")
    page = write(out, patches).read_text()
    listed = page.partition('<ul class="soft">')[2].partition("</ul>")[0]
    assert re.findall(r"<li>(\w+):", listed) == ["mps", "sim", "xla"] and "needs <code>macOS</code>" in listed
    assert '<p class="soft">Mutants: not run on these files.' in page and 'class="fail"' not in page


def test_each_form_of_audio_is_listed_with_what_happens_to_it(out, patches):
    leave(out, patches)
    page = write(out, patches).read_text()
    row = page.partition('<th scope="row">numpy float64 (n,)</th>')[2].partition("</tr>")[0]
    assert row == "<td>wrong words, “&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;”</td><td>right</td>"


def test_the_picture_has_a_sign_for_each_form_and_the_worst_of_the_lanes(out, patches):
    leave(out, patches)
    leave(out, patches, name="sim", after="failed")
    page = write(out, patches).read_text()
    svg = ElementTree.parse(out / "matrix.svg").getroot()
    (shown,) = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', page)
    assert base64.b64decode(shown[0]) == (out / "matrix.svg").read_bytes() and shown[1] == svg.findtext("{*}title")
    assert shown[1].endswith("; sim 1 of 2 right on 1.3.0, 1 wrong without an error, 1 right patched.")
    signs = [use.get("href") for use in svg.iterfind("{*}use")]
    # The legend has one sign of each kind.
    assert (signs.count("#right"), signs.count("#silent"), signs.count("#refused")) == (2 + 1, 2 + 1, 1)
    assert {sign[1:] for sign in signs} <= {group.get("id") for group in svg.iterfind("{*}defs/{*}g")}


def test_the_table_of_another_session_is_shown_only_on_the_files_that_it_is_about(out, patches):
    leave(out, patches)
    keep(out, patches, others=[{**TABLE, "title": "Step by step"}])
    page = write(out, patches).read_text()
    assert "<details><summary>Each hunk is needed</summary>" in page and "<h3>Step by step</h3>" in page
    keep(out, patches, digest="0")
    assert "Mutants: not run on these files." in write(out, patches).read_text()
    keep(out, patches, holds=False)
    assert "<li>it does not say that it holds</li>" in write(out, patches).read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"title": "t"}'])
def test_a_table_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "alternatives.json").write_text(text)
    with pytest.raises(HarnessError, match=r"alternatives\.json .*: run `nox -s alternatives`"):
        read_table(tmp_path / "alternatives.json", "Alternatives")
