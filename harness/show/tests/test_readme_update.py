"""README and patches/README.md show the last verdict and no other."""

import re

import pytest

from harness import ROOT, HarnessError, world
from harness.show.readme import check, update
from harness.show.tests import test_page
from harness.show.tests.test_page import THREAD, leave

# The fixture of test_page.
out = test_page.out


@pytest.fixture
def patches(tmp_path):
    for folder in ("readme", "checkout"):
        (tmp_path / "patches" / folder).mkdir(parents=True)
    (tmp_path / "patches" / "0001.patch").write_text(test_page.PATCH)
    alone = test_page.PATCH.replace("Hear with\n both ears\n\nIt did not.\n\nBug: none\n", "Say so\n\n").replace(
        "a.py", "README.md"
    )
    (tmp_path / "patches" / "readme" / "0002.patch").write_text(alone)
    return tmp_path / "patches"


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("# Name\n\n<!-- verdict: by hand -->\nold\n<!-- /verdict -->\nMore.\n")
    return file


def test_readme_shows_verdicts_and_picture_and_leads_to_the_bugs(readme, tmp_path, out, patches):
    for lane in ("cpu", "sim"):
        leave(out, patches, name=lane)
    picture = tmp_path / "shown.svg"
    update(readme, out, picture, patches)
    lines = readme.read_text().splitlines()
    assert lines[:5] == [
        "# Name",
        "",
        "<!-- verdict: by hand -->",
        "- **The verdict holds** on `cpu`: 1 fail→pass, 1 pass→pass.",
        "- **The verdict holds** on `sim`: 1 fail→pass, 1 pass→pass.",
    ]
    assert re.fullmatch(r"!\[What runs where \(.+ patched\.\]\(shown\.svg\)", lines[6])
    assert lines[8:11] == [
        "1.3.0 has 1 bug: [by patch](patches/README.md).",
        "",
        "Not run: mps (needs `macOS`).",
    ]
    assert lines[-2:] == ["<!-- /verdict -->", "More."]
    assert picture.read_bytes() == (out / "matrix.svg").read_bytes()


def test_a_verdict_that_does_not_hold_is_said_with_its_problems(readme, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim", after="failed")
    update(readme, out, tmp_path / "shown.svg", patches)
    text = readme.read_text()
    assert "- **The verdict does not hold** on `sim`: 1 fail→fail, 1 pass→pass." in text
    assert "\n- deaf: not fixed on patched, 1 of its tests do not pass" in text
    assert "| 1 ✗ → ✓ | 1 ✗ → ✗ |" in (patches / "README.md").read_text()


def test_each_patch_is_listed_with_what_it_changes_and_its_bugs(readme, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    update(readme, out, tmp_path / "shown.svg", patches)
    text = (patches / "README.md").read_text()
    own = text.partition("## [0001](0001.patch) Hear with both ears\n\nBefore: It did not.\n\nChanges `a.py`: +2 −1.\n\n")[2]
    head, _, row = own.splitlines()[:3]
    assert head == "| bug | 1.3.0 | what it gives | cpu | sim |"
    assert (
        row.startswith("| [deaf](../tests/bugs.toml): It hears <script>")
        and f" [#26]({THREAD}) | does wrong | `TypeError: deaf" in row
    )
    assert row.endswith("` | 1 ✗ → ✓ | 1 ✗ → ✓ |") and str(ROOT) not in row
    assert "- [0002](readme/0002.patch) Say so. Changes `README.md`: +2 −1.\n" in text


def test_a_readme_without_a_place_is_refused_before_anything_is_written(readme, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    readme.write_text("# Name\n")
    with pytest.raises(HarnessError, match=r"^README\.md has no place for the verdict"):
        update(readme, out, tmp_path / "shown.svg", patches)
    assert not (patches / "README.md").exists() and not (tmp_path / "shown.svg").exists()


@pytest.mark.parametrize(
    ("changes", "reason"), [({"digest": "0"}, world.STALE), ({"name": "sim-floor"}, "there is no verdict on sim yet")]
)
def test_readme_keeps_its_verdict_where_there_is_no_new_one(readme, tmp_path, out, patches, changes, reason):
    leave(out, patches)
    leave(out, patches, **{"name": "sim"} | changes)
    with pytest.raises(HarnessError, match=f"{reason}.*: run `nox -s verdict` first"):
        update(readme, out, tmp_path / "shown.svg", patches)
    assert "old" in readme.read_text() and not (patches / "README.md").exists()


def test_a_verdict_that_was_edited_by_hand_is_refused_and_a_stale_one_named(readme, tmp_path, out, patches, monkeypatch):
    leave(out, patches)
    leave(out, patches, name="sim")
    picture = tmp_path / "shown.svg"
    update(readme, out, picture, patches)
    assert check(readme, picture, patches / "README.md") == [
        "cpu of 2026-11-22",
        "sim of 2026-11-22",
    ]  # they are on other patches
    own = world.digest("pinned", patches)
    monkeypatch.setattr(world, "digest", lambda stack: own)
    assert check(readme, picture, patches / "README.md") == []
    readme.write_text(readme.read_text().replace("1 fail→pass", "9 fail→pass"))
    with pytest.raises(
        HarnessError, match=r"^the verdicts of README\.md, shown\.svg or README\.md of patches/ were edited by hand"
    ):
        check(readme, picture, patches / "README.md")


def test_an_older_verdict_beside_a_new_lane_is_not_shown(readme, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    (out / "verdict.md").write_text("It held, once.\n")
    update(readme, out, tmp_path / "shown.svg", patches)
    assert "once" not in readme.read_text()
