"""The commits of a checkout become the series in any order, and the catalogue follows."""

import shutil

import pytest

from harness import PATCHES, HarnessError, series
from harness.catalogue import CATALOGUE
from harness.export import checkout, export

COUNT = len(series.trees.series())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository of the release, with the series as commits."""
    folder = tmp_path_factory.mktemp("made") / "liquid-audio"
    checkout(folder)
    return folder


@pytest.fixture
def source(made, tmp_path):
    return shutil.copytree(made, tmp_path / "liquid-audio")


@pytest.fixture
def patches(tmp_path):
    shutil.copy(CATALOGUE, tmp_path)
    return shutil.copytree(PATCHES, tmp_path / "patches")


def commit(source, message, *files):
    """Commit a line more at the end of files."""
    for name in files:
        with (source / name).open("a") as file:
            file.write("# A word\n")
    series.git(source, "add", "--all")
    series.git(source, "commit", "--quiet", "--message", message)


def run(source, patches):
    return export(source, patches, patches.parent / CATALOGUE.name)


def listed(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.patch")}


def test_the_series_exports_to_itself(source, patches):
    before = listed(patches)
    assert run(source, patches) == []
    assert listed(patches) == before
    assert (patches.parent / CATALOGUE.name).read_bytes() == CATALOGUE.read_bytes()


def test_a_commit_after_readmes_comes_before_it(source, patches):
    before = listed(patches)
    commit(source, "Say a word more", "src/liquid_audio/wörter.py")
    new = f"{COUNT + 1:04d}-Say-a-word-more.patch"
    first, *moved = run(source, patches)
    assert first == f"new: {new}; describe its bug in bugs.toml, and name it in pulls.toml"
    assert [line.partition(": ")[0] for line in moved] == ["renamed"] * (len(before) - COUNT)
    assert set(listed(patches).values()) == {*before.values(), (patches / new).read_bytes()}
    with series.checkout() as repository:
        series.am(repository, *series.whole(patches))
        series.check_export(repository, series.whole(patches))
    assert run(source, patches) == []


def test_numbers_follow_in_what_is_kept_and_in_the_catalogue(patches):
    with series.checkout() as repository:
        series.am(repository, series.trees.series()[0], *series.trees.series()[2:])
        said = run(repository, patches)
    assert [line for line in said if line.startswith("gone: ")] == [f"gone: {series.trees.series()[1].name}"]
    old, text = series.trees.series()[2].name, (patches.parent / CATALOGUE.name).read_text()
    assert f'patch = "{old.replace("0003", "0002")}"' in text and old not in text
    assert len(list(patches.glob("readme/*"))) == len(list(PATCHES.glob("readme/*")))


@pytest.mark.parametrize(
    ("message", "more", "problem"),
    [
        ("Two at once", ["README.md"], r"Two at once: it changes README\.md, src/.+, make one commit of src/"),
        ("Words\n\nSigned-off-by: nobody", [], r"-Words\.patch says 'Signed-off-by: nobody': name threads"),
    ],
)
def test_what_is_no_patch_is_refused_and_nothing_is_written(source, patches, message, more, problem):
    before = listed(patches)
    commit(source, message, "src/liquid_audio/utils.py", *more)
    with pytest.raises(HarnessError, match=problem):
        run(source, patches)
    assert listed(patches) == before


def test_a_merge_is_refused(source, patches):
    series.git(source, "checkout", "--quiet", "-b", "other", "HEAD~1")
    commit(source, "A word elsewhere", "src/liquid_audio/other.py")
    series.git(source, "merge", "--quiet", "--no-edit", "@{-1}")
    with pytest.raises(HarnessError, match="changes nothing or is a merge"):
        run(source, patches)


def test_what_is_in_no_commit_is_not_forgotten(source, patches):
    (source / "src" / "liquid_audio" / "processor.py").write_text("")
    with pytest.raises(HarnessError, match="has uncommitted changes: commit them first"):
        run(source, patches)


def test_the_release_must_be_tagged(source, patches):
    series.git(source, "tag", "--delete", "release")
    with pytest.raises(HarnessError, match=r"tag the commit of liquid-audio 1\.3\.0, with `git tag release COMMIT`"):
        run(source, patches)


def test_a_repository_is_not_made_over_another(tmp_path):
    with pytest.raises(HarnessError, match="exists already"):
        checkout(tmp_path)
