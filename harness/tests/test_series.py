"""A patch that upstream could not merge is refused by name."""

import shutil
from collections import Counter

import pytest

from harness import PATCHES, HarnessError
from harness.series import am, check, check_export, check_message, checkout, outside, whole
from harness.trees import digest, resolve, series


@pytest.fixture
def repository():
    """A git repository that holds the release under src/."""
    with checkout() as repository:
        yield repository


def test_the_series_applies_with_git_am_and_exports_to_the_same_bytes(repository):
    am(repository, *whole(PATCHES))
    check_export(repository, whole(PATCHES))


def test_a_patch_that_was_edited_by_hand_is_not_what_git_exports(repository, tmp_path):
    patches = tmp_path / "patches"
    shutil.copytree(PATCHES, patches)
    first = series(patches)[0]
    first.write_text(first.read_text().replace("diff --git", "edited by hand\ndiff --git", 1))
    am(repository, *series(patches))
    with pytest.raises(HarnessError, match=f"^{first.name} is not what git exports"):
        check_export(repository, whole(patches))


@pytest.mark.parametrize("line", ["Forwarded: not-yet", "Bug: none upstream", "Signed-off-by: nobody"])
def test_a_line_that_would_have_to_be_stripped_is_refused(tmp_path, line):
    patch = tmp_path / series()[0].name
    patch.write_text(series()[0].read_text(encoding="utf-8").replace("\n---\n", f"\n{line}\n---\n", 1), encoding="utf-8")
    check_message(series()[0])
    with pytest.raises(HarnessError, match=f"^{patch.name} says '{line}'"):
        check_message(patch)


def test_what_a_checkout_alone_has_is_tried_there_and_nowhere_else(repository, monkeypatch, capsys):
    monkeypatch.setattr("harness.series._lint", lambda repository: Counter())
    first = outside(PATCHES)[0].name
    check()
    said = f"{first} is not tried, because it changes files outside the wheel: pass `--checkout PATH`\n"
    assert said in capsys.readouterr().out
    with pytest.raises(HarnessError, match=f"^{first} does not apply with git am"):
        check(repository)  # which was made from a wheel


def test_a_patch_that_does_not_apply_is_named(repository):
    first, second = series()[:2]
    am(repository, first)
    with pytest.raises(HarnessError, match=f"^{first.name} does not apply with git am"):
        am(repository, second, first)


def test_a_file_that_is_no_commit_is_named(repository, tmp_path):
    (tmp_path / "0001-Words.patch").write_text("words\n")
    with pytest.raises(HarnessError, match=r"^0001-Words\.patch does not apply with git am: .*Patch format detection failed"):
        am(repository, tmp_path / "0001-Words.patch")


def test_the_trees_are_what_git_am_makes(repository):
    am(repository, *series())
    assert digest(repository / "src" / "liquid_audio") == resolve("patched").digest
