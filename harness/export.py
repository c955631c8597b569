"""Turn the series into commits of a checkout, and commits of a checkout into the series.

Whatever the order in the checkout, commits of the package come first, then those of README, then those of other files.
Where a number changes, the catalogue's names change too.
"""

import argparse
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import PATCHES, HarnessError, series
from harness.catalogue import CATALOGUE
from harness.wheels import RELEASE

# The kinds of commits by what they change, which are also folders of patches/, in the order of their numbers.
KINDS = ("", "readme", "checkout")


def checkout(target: Path, patches: Path = PATCHES) -> None:
    """Create a repository of the release, tagged `release`, with the series as commits, but without `patches/checkout/`.

    Raises:
        HarnessError: the folder exists already, or a patch does not apply
    """
    if target.exists():
        raise HarnessError(f"{target} exists already: name a new folder")
    with series.checkout() as repository:
        series.am(repository, *series.whole(patches))
        shutil.copytree(repository, target)


def export(source: Path, patches: Path = PATCHES, catalogue: Path = CATALOGUE) -> list[str]:
    """Write the commits since the tag `release` as patches. The same commits give the same bytes.

    If the checkout has no commits of README, or of other files outside the package, the patches of that kind are kept.

    Args:
        source: the repository
        patches: the folder of the series, which is rewritten
        catalogue: bugs.toml, which names patches

    Returns:
        a line for each patch that is new, gone, renamed or changed

    Raises:
        HarnessError: the commits do not make a series
    """
    if series.git(source, "status", "--porcelain", "--untracked-files=no"):
        raise HarnessError(f"{source} has uncommitted changes: commit them first")
    if not series.git(source, "tag", "--list", "release"):
        raise HarnessError(f"{source}: tag the commit of liquid-audio {RELEASE.version}, with `git tag release COMMIT`")
    commits = series.git(source, "rev-list", "--reverse", "release..HEAD").split()
    kinds = {commit: _kind(source, commit) for commit in commits}
    if "" not in kinds.values():
        raise HarnessError(f"{source} has no commit on src/ after the tag `release`: nothing to export")
    with tempfile.TemporaryDirectory() as folder:
        exported = _format(source, sorted(kinds, key=lambda commit: KINDS.index(kinds[commit])), Path(folder))
        new: dict[Path, bytes] = {}
        for kind in KINDS:
            count = list(kinds.values()).count(kind)
            for patch in exported[:count] or sorted((patches / kind).glob("*.patch")):
                series.check_message(patch)
                new[Path(kind, f"{len(new) + 1:04d}-{slug(patch)}.patch")] = patch.read_bytes()
            del exported[:count]
    old = {file.relative_to(patches): file.read_bytes() for kind in KINDS for file in sorted((patches / kind).glob("*.patch"))}
    for name in old:
        (patches / name).unlink()
    for name, data in new.items():
        (patches / name).parent.mkdir(exist_ok=True)
        (patches / name).write_bytes(data)
    _rename(catalogue, {slug(name): name.name for name in new})
    return list(_changes(old, new))


def slug(patch: Path) -> str:
    """Name a patch without its number."""
    return patch.stem.partition("-")[2]


def _kind(source: Path, commit: str) -> str:
    """Say where a commit goes, by what it changes."""
    subject = series.git(source, "log", "-1", "--format=%h, %s", commit).strip()
    names = series.git(source, "show", "--format=", "--name-only", "--no-renames", "-z", commit).split("\0")[:-1]
    kinds = {"" if name.startswith("src/") else "readme" if name == "README.md" else "checkout" for name in names}
    if not names:
        raise HarnessError(f"{subject}: it changes nothing or is a merge, drop it with git rebase")
    if "" in kinds and len(kinds) > 1:
        raise HarnessError(f"{subject}: it changes {', '.join(sorted(names))}, make one commit of src/ and one of the others")
    return max(kinds, key=KINDS.index)


def _format(source: Path, commits: list[str], folder: Path) -> list[Path]:
    """Put commits on top of the release in the given order, in a clone, and write them as patches."""
    repository = folder / "clone"
    series.git(folder, "clone", "--quiet", "--no-checkout", str(source.resolve()), str(repository))
    series.git(repository, "checkout", "--quiet", "--detach", "release")
    for commit in commits:
        try:
            series.git(repository, "cherry-pick", commit)
        except HarnessError:
            subject = series.git(source, "log", "-1", "--format=%h, %s", commit).strip()
            raise HarnessError(f"{subject}: it does not apply before the commits outside src/, reorder it") from None
    series.git(repository, *series.EXPORT, "--output-directory", str(folder / "patches"), "release")
    return sorted((folder / "patches").glob("*.patch"))


def _changes(old: Mapping[Path, bytes], new: Mapping[Path, bytes]) -> Iterator[str]:
    """Say which patches are new, renamed, changed or gone."""
    names = {slug(name): name for name in old}
    for name, data in new.items():
        was = names.pop(slug(name), None)
        if was is None:
            yield f"new: {name}; describe its bug in bugs.toml, and name it in pulls.toml"
        elif was != name:
            yield f"renamed: {was} to {name}"
        elif old[was] != data:
            yield f"changed: {name}"
    yield from (f"gone: {was}" for was in names.values())


def _rename(catalogue: Path, names: Mapping[str, str]) -> None:
    """Correct the numbers of the patches that the catalogue names."""
    text = catalogue.read_text(encoding="utf-8")
    pattern = r'(?<=^patch = ")\d+-(.+)\.patch(?="$)'
    catalogue.write_text(re.sub(pattern, lambda m: names.get(m[1], m[0]), text, flags=re.MULTILINE), encoding="utf-8")


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `export`, and `checkout`, which is its opposite."""
    parser.add_argument("checkout", type=Path, help="a repository with commits on top of the release, or a new folder")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if options.command == "checkout":
        checkout(options.checkout)
        print(f"made {options.checkout}: add a commit there, and run `nox -s export -- {options.checkout}`")
    else:
        print("\n".join(export(options.checkout)) or "the series is the same as before")
