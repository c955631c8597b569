"""README shows the last verdict, and no other."""

import pytest

from harness import ROOT, HarnessError, world
from harness.show.readme import LANES, update
from harness.show.tests import test_page
from harness.show.tests.test_page import leave
from harness.verdict import census

# Fixtures of the same name.
out, patches = test_page.out, test_page.patches


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("# Name\n\n<!-- verdict: by hand -->\nold\n<!-- /verdict -->\nMore.\n")
    return file


def test_readme_shows_the_picture_where_the_verdict_has_its_matrix(readme, tmp_path, out, patches):
    for lane in ("cpu", "sim"):
        leave(out, patches, name=lane)
    picture = tmp_path / "shown.svg"
    update(readme, out, picture, patches)
    text = readme.read_text()
    assert "\nold\n" not in text and "| audio |" not in text and "](shown.svg)" in text
    assert "- **The verdict holds** on `sim`: 1 fail→pass, 1 pass→pass." in text
    assert picture.read_bytes() == (out / "matrix.svg").read_bytes()
    readme.write_text("# Name\n")
    with pytest.raises(HarnessError, match=r"^README\.md has no place for the verdict"):
        update(readme, out, picture, patches)


@pytest.mark.parametrize(
    ("changes", "reason"), [({"digest": "0"}, world.STALE), ({"name": "sim-floor"}, "there is no verdict on sim yet")]
)
def test_readme_keeps_its_verdict_where_there_is_no_new_one(readme, tmp_path, out, patches, changes, reason):
    leave(out, patches)
    leave(out, patches, **{"name": "sim"} | changes)
    with pytest.raises(HarnessError, match=f"{reason}.*: run `nox -s verdict` first"):
        update(readme, out, tmp_path / "shown.svg", patches)
    assert "old" in readme.read_text()


@pytest.mark.parametrize("lane", LANES)
def test_readme_counts_what_the_census_counts(lane):
    # A suite may change and the census with it, and README go on to say what an older one had found.
    counts = [n for n in census.read()[lane].values() if len(n) > 1]
    shown, same, bits = (sum(n[k] for n in counts) for k in (1, 2, 3))
    said = f"- **The verdict holds** on `{lane}`: {shown} fail→pass, {same} pass→pass, {bits} of them bit for bit.\n"
    assert said in (ROOT / "README.md").read_text(encoding="utf-8")


def test_an_older_verdict_beside_a_new_lane_is_not_shown(readme, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    (out / "verdict.md").write_text("It held, once.\n")
    update(readme, out, tmp_path / "shown.svg", patches)
    assert "once" not in readme.read_text()
