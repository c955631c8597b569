"""Write the series from a checkout of upstream's repository, where it is commits on top of the release.

Whatever the order in the checkout, commits of the package come first, then those of README, then those of other files.
Where a number changes, the catalogue's names change too.
"""

import argparse
import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness import PATCHES, HarnessError, series, trees, wheels
from harness.catalogue import CATALOGUE

# The kinds of commits by what they change, which are also folders of patches/, in the order of their numbers.
KINDS = ("", "readme", "checkout")


def export(checkout: Path, patches: Path = PATCHES, catalogue: Path = CATALOGUE) -> list[str]:
    """Write the commits since the release as patches, and say what changed. The same commits give the same bytes.

    If the checkout has no commits of README, or of other files outside the package, the patches of that kind are kept.

    Args:
        checkout: the repository
        patches: the folder of the series, which is rewritten
        catalogue: bugs.toml, which names patches

    Returns:
        a line for each patch that is new, gone, renamed or changed

    Raises:
        HarnessError: the commits do not make a series
    """
    if series.git(checkout, "status", "--porcelain", "--untracked-files=no"):
        raise HarnessError(f"{checkout} has uncommitted changes: commit them first")
    base = find_release(checkout)
    kinds = _kinds(checkout, base)
    by_kind = {kind: [commit for commit, found in kinds.items() if found == kind] for kind in KINDS}
    if not by_kind[""]:
        raise HarnessError(f"{checkout} has no commit on src/ after liquid-audio {wheels.RELEASE.version}: nothing to export")
    with tempfile.TemporaryDirectory() as folder:
        exported = _format(checkout, base, [commit for kind in KINDS for commit in by_kind[kind]], Path(folder))
        for patch in exported:
            series.check_message(patch)
        new = _place(exported, by_kind, patches)
    old = _listed(patches)
    said = list(_changes(new, old, patches))
    for patch in old.values():
        patch.unlink()
    for name, data in new.items():
        (patches / name).parent.mkdir(exist_ok=True)
        (patches / name).write_bytes(data)
    _name(catalogue, {_slug(Path(name)): Path(name).name for name in new})
    return said


def find_release(checkout: Path) -> str:
    """Find the commit of the release: the first that has its package, its README and its version.

    Raises:
        HarnessError: there is none before HEAD
    """
    published = trees.resolve("upstream").path
    files = [file for file in (published / trees.PACKAGE).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    expected = {f"src/{file.relative_to(published).as_posix()}": _blob(file.read_bytes()) for file in files}
    expected["README.md"] = _blob(series.published_readme(published).encode())
    found = ""
    for commit in series.git(checkout, "rev-list", "--first-parent", "HEAD").split():
        listed = series.git(checkout, "ls-tree", "-r", commit, f"src/{trees.PACKAGE}", "README.md").splitlines()
        same = {line.partition("\t")[2]: line.split()[2] for line in listed} == expected
        if same and _version(checkout, commit) in ("", wheels.RELEASE.version):
            found = commit
        elif found:
            break
    if not found:
        raise HarnessError(f"{checkout} has no commit with liquid-audio {wheels.RELEASE.version} as published: start from one")
    return found


def _blob(data: bytes) -> str:
    """Hash contents as git does."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _version(checkout: Path, commit: str) -> str:
    """Read the version that a commit gives the package; empty if it gives none."""
    match = re.search(r'^version = "(.+)"$', series.git(checkout, "show", f"{commit}:pyproject.toml"), re.MULTILINE)
    return match[1] if match else ""


def _kinds(checkout: Path, base: str) -> dict[str, str]:
    """Say where each commit since the release goes, by what it changes.

    Raises:
        HarnessError: a commit is a merge, or belongs in two places
    """
    log = series.git(
        checkout, "log", "--reverse", "--name-only", "--no-renames", "--format=%x00%H %P%x00%h, %s%x00", f"{base}..HEAD"
    )
    kinds = {}
    fields = log.split("\0")[1:]
    for commits, subject, names in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        commit, *parents = commits.split()
        if len(parents) != 1:
            raise HarnessError(f"{subject}: a merge cannot be a patch, rebase instead")
        kinds[commit] = _kind(subject, list(filter(None, names.splitlines())))
    return kinds


def _kind(subject: str, names: Sequence[str]) -> str:
    # Git quotes a name with a character outside ASCII.
    kinds = {"" if name.startswith(("src/", '"src/')) else "readme" if name == "README.md" else "checkout" for name in names}
    if kinds == {"readme", "checkout"}:
        return "checkout"
    if len(kinds) != 1:
        raise HarnessError(f"{subject}: it changes {', '.join(sorted(names))}, make one commit of src/ and one of the others")
    return kinds.pop()


def _format(checkout: Path, base: str, commits: Sequence[str], folder: Path) -> list[Path]:
    """Put commits on top of the release in the given order, in a clone, and write them as patches."""
    repository, exported = folder / "clone", folder / "patches"
    series.git(folder, "clone", "--quiet", "--no-checkout", str(checkout.resolve()), str(repository))
    series.git(repository, "checkout", "--quiet", "--detach", base)
    for commit in commits:
        try:
            series.git(repository, "cherry-pick", "--allow-empty", commit)
        except HarnessError:
            subject = series.git(checkout, "log", "-1", "--format=%h, %s", commit).strip()
            raise HarnessError(
                f"{subject}: it does not apply before the commits outside src/: reorder it with git rebase"
            ) from None
    series.git(repository, *series.EXPORT, "--output-directory", str(exported), base)
    return sorted(exported.glob("*.patch"))


def _place(exported: Sequence[Path], by_kind: dict[str, list[str]], patches: Path) -> dict[str, bytes]:
    """Return the files of patches/: what was exported, and what is kept, with numbers that follow."""
    left, found, number = list(exported), {}, 0
    for kind in KINDS:
        kept = sorted((patches / kind).glob("*.patch")) if kind and not by_kind[kind] else []
        for patch in [*left[: len(by_kind[kind])], *kept]:
            number += 1
            found[f"{kind}/{number:04d}-{_slug(patch)}.patch".lstrip("/")] = patch.read_bytes()
        del left[: len(by_kind[kind])]
    return found


def _slug(patch: Path) -> str:
    """Name a patch without its number."""
    return patch.stem.partition("-")[2]


def _listed(patches: Path) -> dict[str, Path]:
    """Find the patches, by their names without numbers."""
    return {_slug(patch): patch for kind in KINDS for patch in sorted((patches / kind).glob("*.patch"))}


def _changes(new: Mapping[str, bytes], old: Mapping[str, Path], patches: Path) -> Iterator[str]:
    """Say which patches are new, renamed, changed or gone."""
    for name, data in new.items():
        was = old.get(_slug(Path(name)))
        if was is None:
            yield f"new: {name}; describe its bug in bugs.toml, and name it in pulls.toml"
        elif was.name != Path(name).name:
            yield f"renamed: {was.name} to {name}"
        elif was.read_bytes() != data:
            yield f"changed: {name}"
    slugs = {_slug(Path(name)) for name in new}
    yield from (f"gone: {was.relative_to(patches).as_posix()}" for slug, was in old.items() if slug not in slugs)


def _name(catalogue: Path, names: Mapping[str, str]) -> None:
    """Correct the numbers of the patches that the catalogue names."""
    text = catalogue.read_text(encoding="utf-8")
    new = re.sub(r'(?<=^patch = ")\d+-(.+)\.patch(?="$)', lambda m: names.get(m[1], m[0]), text, flags=re.MULTILINE)
    if new != text:
        catalogue.write_text(new, encoding="utf-8")


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `export`."""
    parser.add_argument("checkout", type=Path, help="a repository with commits on top of the release")
    parser.set_defaults(run=lambda options: print("\n".join(export(options.checkout)) or "the series is the same as before"))
