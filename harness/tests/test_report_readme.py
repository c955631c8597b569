"""README and patches/README.md show the last verdict and no other."""

import re

import pytest

from harness import ROOT, HarnessError, evidence, world
from harness.report.readme import check, update
from harness.tests import lanes
from harness.tests.lanes import THREAD, leave

out, patches = lanes.out, lanes.patches


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("# Name\n\n<!-- verdict: by hand -->\nold\n<!-- /verdict -->\nMore.\n")
    return file


@pytest.fixture
def write(readme, tmp_path, out, patches):
    """Return a function that writes README and its picture, without this repository's evidence."""

    def write(folder=tmp_path / "evidence"):
        update(readme, out, tmp_path / "shown.svg", patches, folder)
        return readme.read_text()

    return write


def test_readme_shows_verdicts_and_picture_and_what_has_not_run(write, out, patches):
    for lane in ("cpu", "sim"):
        leave(out, patches, name=lane)
    lines = write().splitlines()
    assert lines[3:7] == [
        "| device | bugs fixed | passes on both | same bits | works on 1.3.0 | works only with the patches |",
        "|---|---|---|---|---|---|",
        "| `cpu` | 1 of 1, in 1 tests | 1 tests | 0 tests | – | – |",
        "| `sim` | 1 of 1, in 1 tests | 1 tests | 0 tests | – | – |",
    ]
    assert re.fullmatch(r"!\[Forms of audio, .+ patched\.\]\(shown\.svg\)", lines[8])
    assert lines[10].startswith("1.3.0 has 1 bug: [the list, by patch](patches/README.md). ")
    assert lines[10].endswith(
        " **This version has not run yet on: a CUDA GPU, Apple silicon, torch_xla, a TPU, the real LFM2.5 weights.**"
    )
    assert lines[-2:] == ["<!-- /verdict -->", "More."]


def test_committed_evidence_is_a_row_and_is_no_longer_listed_as_not_run(write, tmp_path, out, patches, monkeypatch):
    for lane in ("cpu", "sim"):
        leave(out, patches, name=lane)
    monkeypatch.setattr(evidence, "is_counted", lambda record: True)  # the census knows nothing of this bug
    for name, changes in {"cuda": {}, "mps": {"digest": "0"}}.items():
        leave(tmp_path / "elsewhere", patches, name=name, host={"system": "L", "machine": "x", "device": "a GPU"}, **changes)
        evidence.write(tmp_path / "elsewhere" / name / "verdict.json", tmp_path / "evidence")
    text = write()
    assert "\n| `cuda`, a GPU, on 2026-11-22 | 1 of 1, in 1 tests | 1 tests | 0 tests | – | – |\n" in text
    assert "`mps`" not in text and "has not run yet on: Apple silicon, torch_xla," in text


def test_a_verdict_that_does_not_hold_is_said_with_its_problems(write, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim", after="failed")
    text = write()
    assert "| `sim`: **the verdict does not hold** | 0 of 1, in 0 tests |" in text
    assert "\n- sim: deaf: not fixed on patched, 1 of its tests do not pass" in text
    assert "| 1 ✗ → ✓ | 1 ✗ → ✗ |" in (patches / "README.md").read_text()


def test_each_patch_is_listed_with_what_it_changes_and_its_bugs(write, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    write()
    text = (patches / "README.md").read_text()
    own = text.partition("## [0001](0001.patch) Hear with both ears\n\nBefore: It did not.\n\nChanges `a.py`: +2 −1.\n\n")[2]
    head, _, row = own.splitlines()[:3]
    assert head == "| bug | 1.3.0 | what it gives | cpu | sim |"
    assert row.startswith("| [deaf](../tests/bugs.toml): It hears <script>") and f" [#26]({THREAD}) | does wrong | " in row
    assert row.endswith("` | 1 ✗ → ✓ | 1 ✗ → ✓ |") and str(ROOT) not in row
    assert "- [0002](readme/0002.patch) Say so. Changes `README.md`: +2 −1.\n" in text


def test_a_readme_without_a_place_is_refused_before_anything_is_written(readme, write, tmp_path, out, patches):
    leave(out, patches)
    leave(out, patches, name="sim")
    readme.write_text("# Name\n")
    with pytest.raises(HarnessError, match=r"^README\.md has no place for the verdict"):
        write()
    assert not (patches / "README.md").exists() and not (tmp_path / "shown.svg").exists()


@pytest.mark.parametrize(
    ("changes", "reason"), [({"digest": "0"}, world.STALE), ({"name": "sim-floor"}, "there is no verdict on sim yet")]
)
def test_readme_keeps_its_verdict_where_there_is_no_new_one(readme, write, out, patches, changes, reason):
    leave(out, patches)
    leave(out, patches, **{"name": "sim"} | changes)
    with pytest.raises(HarnessError, match=f"{reason}.*: run `nox -s verdict` first"):
        write()
    assert "old" in readme.read_text() and not (patches / "README.md").exists()


def test_an_edit_by_hand_is_refused_and_a_stale_verdict_is_named(readme, write, tmp_path, out, patches, monkeypatch):
    leave(out, patches)
    leave(out, patches, name="sim")
    text, files = write(), (readme, tmp_path / "shown.svg", patches / "README.md")
    assert check(*files) == ["cpu of 2026-11-22", "sim of 2026-11-22"]  # they are on other patches
    own = world.digest("pinned", patches)
    monkeypatch.setattr(world, "digest", lambda stack: own)
    assert check(*files) == []
    for edited, was, now in ((files[0], "1 of 1", "9 of 9"), (files[1], "1.3.0", "1.4.0"), (files[2], "1 ✗ → ✓", "1 ✗ → ✗")):
        kept = edited.read_text()
        assert was in kept
        edited.write_text(kept.replace(was, now))
        with pytest.raises(HarnessError, match=r"^the verdicts of README\.md, shown\.svg or .+ were edited by hand"):
            check(*files)
        edited.write_text(kept)
    assert check(*files) == [] and readme.read_text() == text
