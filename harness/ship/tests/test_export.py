"""The commits of a checkout become the series in any order, and the catalogue follows."""

import shutil

import pytest

from harness import PATCHES, HarnessError, series
from harness.catalogue import CATALOGUE
from harness.ship.checkout import make
from harness.ship.export import _kinds, export, find_release

COUNT = len(series.trees.series())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository of the release, with the series as commits."""
    folder = tmp_path_factory.mktemp("made") / "liquid-audio"
    make(folder)
    return folder


@pytest.fixture
def checkout(made, tmp_path):
    return shutil.copytree(made, tmp_path / "liquid-audio")


@pytest.fixture
def patches(tmp_path):
    shutil.copy(CATALOGUE, tmp_path)
    return shutil.copytree(PATCHES, tmp_path / "patches")


def commit(checkout, message, **files):
    """Commit an edit of each file: what is replaced, and by what."""
    for name, (old, new) in files.items():
        file = checkout / name
        text = file.read_text() if file.exists() else ""
        assert old in text
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(old, new, 1))
    series.git(checkout, "add", "--all")
    series.git(checkout, "commit", "--quiet", "--message", message)


def word(checkout, message="Say a word more", **more):
    commit(checkout, message, **{"src/liquid_audio/moshi/__init__.py": ("", "# A word\n")}, **more)


def run(checkout, patches):
    return export(checkout, patches, patches.parent / CATALOGUE.name)


def listed(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.patch")}


def test_the_series_exports_to_itself(checkout, patches):
    before = listed(patches)
    assert run(checkout, patches) == []
    assert listed(patches) == before
    assert (patches.parent / CATALOGUE.name).read_bytes() == CATALOGUE.read_bytes()


@pytest.mark.parametrize("message", ["Say\fa word", "Say\u2028a word"])
def test_the_kind_of_a_commit_is_told_by_its_files_alone(checkout, message):
    before = list(_kinds(checkout, find_release(checkout)).values())
    commit(checkout, message, **{"src/liquid_audio/wörter.py": ("", "# A word\n")})
    commit(checkout, message, **{"README.md": ("Liquid", "A liquid")})
    assert list(_kinds(checkout, find_release(checkout)).values()) == [*before, "", "readme"]


def test_a_commit_after_readmes_comes_before_it_and_what_upstream_merges_is_there(checkout, patches):
    before = listed(patches)
    word(checkout)
    new = f"{COUNT + 1:04d}-Say-a-word-more.patch"
    first, *moved = run(checkout, patches)
    assert first == f"new: {new}; describe its bug in bugs.toml, and name it in pulls.toml"
    assert len([line for line in moved if line.startswith("renamed: ")]) == len(series.outside(patches)) + 1
    assert set(listed(patches).values()) == {*before.values(), (patches / new).read_bytes()}
    with series.checkout() as repository:
        series.am(repository, *series.whole(patches))
        series.check_export(repository, series.whole(patches))
    assert run(checkout, patches) == []


def test_numbers_follow_in_what_is_kept_and_in_the_catalogue(made, tmp_path, patches):
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
        (
            "Two at once",
            {"README.md": ("Liquid", "Solid")},
            r"Two at once: it changes README\.md, src/.+, make one commit of src/",
        ),
        ("Words\n\nSigned-off-by: nobody", {}, rf"{COUNT + 1:04d}-Words\.patch says 'Signed-off-by: nobody': name threads"),
    ],
)
def test_what_is_no_patch_is_refused_and_nothing_is_written(checkout, patches, message, more, problem):
    before = listed(patches)
    word(checkout, message, **more)
    with pytest.raises(HarnessError, match=problem):
        run(checkout, patches)
    assert listed(patches) == before


def test_what_is_in_no_commit_is_not_forgotten(checkout, patches):
    (checkout / "src" / "liquid_audio" / "processor.py").write_text("")
    with pytest.raises(HarnessError, match="has uncommitted changes: commit them first"):
        run(checkout, patches)


def test_the_release_is_found_by_what_it_holds(checkout, tmp_path):
    root = series.git(checkout, "rev-list", "--max-parents=0", "HEAD").strip()
    assert find_release(checkout) == root
    series.git(tmp_path, "init", "--quiet")
    commit(tmp_path, "Something else", **{"README.md": ("", "else")})
    with pytest.raises(HarnessError, match=r"has no commit with liquid-audio 1\.3\.0 as published: start from one"):
        find_release(tmp_path)


def test_a_repository_is_not_made_over_another(tmp_path):
    with pytest.raises(HarnessError, match="exists already"):
        make(tmp_path)
