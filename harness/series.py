"""Check the series as upstream would: it applies with `git am`, re-exports to the same bytes, and lints clean."""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

from harness import CACHE, PATCHES, HarnessError, trees, wheels, world

SETTINGS = Path(__file__).parent / "upstream.toml"
EXPORT = ("format-patch", "--quiet", "--no-numbered", "--zero-commit", "--no-signature", "--full-index")
NOBODY = {f"GIT_{role}_{part}": "nobody@example.invalid" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
# The only trailer that a commit may have: a thread by its address. Any other would have to be stripped before merging.
TRAILER = re.compile(r"Bug: https://\S+")


def check(upstream: Path | None = None, patches: Path = PATCHES) -> None:
    """Run every check on the series, with a line of progress for each patch.

    Args:
        upstream: a checkout of upstream's repository: the series is tried on its HEAD, with the patches that need a checkout
        patches: the series

    Raises:
        HarnessError: upstream could not take a patch as it is
    """
    with checkout(upstream) as repository:
        before = _lint(repository)
        for patch in whole(patches) + (outside(patches) if upstream else []):
            print(f"checking {patch.name}", file=sys.stderr)
            check_message(patch)
            am(repository, patch)
            if new := _lint(repository) - before:
                raise HarnessError(f"{patch.name} adds a complaint of upstream's linters: {next(iter(new))}")
        check_export(repository, whole(patches) + (outside(patches) if upstream else []))
    print("the series applies with git am, re-exports to the same bytes, and lints as upstream does")
    if not upstream:
        for patch in outside(patches):
            check_message(patch)
            print(f"{patch.name} is not tried, because it changes files outside the wheel: pass `--checkout PATH`")


def whole(patches: Path) -> list[Path]:
    """List the series, with its patches of README, which is in no wheel."""
    return [*trees.series(patches), *sorted((patches / "readme").glob("*.patch"))]


def outside(patches: Path) -> list[Path]:
    """List the patches of files that upstream's repository has and the wheel does not."""
    return sorted((patches / "checkout").glob("*.patch"))


def check_message(patch: Path) -> None:
    """Check that a patch is a commit that can be merged as it stands.

    Raises:
        HarnessError: a line of its message would have to be stripped
    """
    message = patch.read_text(encoding="utf-8").partition("\n\n")[2].partition("\n---\n")[0]
    for line in re.findall(r"^[A-Z][\w-]*: .*", message, re.MULTILINE):
        if not TRAILER.fullmatch(line):
            raise HarnessError(f"{patch.name} says {line!r}: name threads by their address, as in `Bug: https://…`")


def readme(patches: Path = PATCHES) -> str:
    """Return upstream's README with the series applied."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "README.md"
        file.write_text(published_readme(trees.resolve("upstream").path), encoding="utf-8")
        for patch in sorted((patches / "readme").glob("*.patch")):
            trees.apply(patch, Path(folder), strip=1)
        return file.read_text(encoding="utf-8")


def published_readme(tree: Path) -> str:
    """Return README from the metadata of an unpacked wheel; empty if there is none."""
    return next(iter(distributions(path=[str(tree)]))).metadata["Description"] or ""


def examples(upstream: Path, target: Path, patches: Path = PATCHES) -> Path:
    """Copy the examples of a checkout of upstream's repository, and apply the series' changes unless they are in.

    Raises:
        HarnessError: they are not those of the release
    """
    shutil.copytree(upstream / "examples", target / "examples")
    for file in upstream.glob("README*.md"):
        shutil.copy(file, target)
    for patch in outside(patches):
        if trees.git_apply(patch, target, "--check", "--reverse", strip=1):
            trees.apply(patch, target, strip=1)
    return target / "examples"


def lint(tree: Path) -> Counter[str]:
    """Collect what upstream's linters report on a tree."""
    with checkout() as repository:
        shutil.rmtree(repository / "src")
        shutil.copytree(tree / trees.PACKAGE, repository / "src" / trees.PACKAGE)
        return _lint(repository)


@contextmanager
def checkout(upstream: Path | None = None) -> Iterator[Path]:
    """Yield a git repository that holds the release under `src/`, as upstream's does, or a clone of upstream's.

    The release is tagged `release`. The repository is temporary, so that nothing is left elsewhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        if upstream:
            git(repository, "clone", "--quiet", str(upstream.resolve()), ".")
            git(repository, "tag", "--force", "release")
            yield repository
            return
        source = trees.resolve("upstream").path / trees.PACKAGE
        shutil.copytree(source, repository / "src" / trees.PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(SETTINGS, repository / "pyproject.toml")
        (repository / "README.md").write_text(published_readme(trees.resolve("upstream").path), encoding="utf-8")
        git(repository, "init", "--quiet")
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message", f"liquid-audio {wheels.RELEASE.version}")
        git(repository, "tag", "release")
        yield repository


def git(repository: Path, *arguments: str) -> str:
    """Run git under a neutral name, without the settings of this host."""
    done = subprocess.run(
        ["git", *arguments], cwd=repository, env=world.environment(**world.NO_GIT, **NOBODY), capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        # Warnings come first, perhaps of another patch.
        why = next((line for line in said if line.startswith(("error: ", "fatal: "))), said[0])
        raise HarnessError(f"git {arguments[0]} failed: {why}")
    return done.stdout


def am(repository: Path, *patches: Path) -> None:
    """Commit patches, each with its author and date.

    Raises:
        HarnessError: one does not apply
    """
    for patch in patches:
        try:
            git(repository, "am", "--quiet", str(patch.resolve()))
        except HarnessError as error:
            raise HarnessError(f"{patch.name} does not apply with git am: {error}") from None


def check_export(repository: Path, patches: Sequence[Path]) -> None:
    """Check that the commits since the release export to the files that they came from.

    Raises:
        HarnessError: a file differs, is missing or should not be there
    """
    exported = repository / "exported"
    git(repository, *EXPORT, "--output-directory", str(exported), "release")
    expected = {patch.name: patch.read_bytes() for patch in patches}
    found = {patch.name: patch.read_bytes() for patch in exported.glob("*.patch")}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise HarnessError(
                f"{name} is not what git exports: run `nox -s export -- CHECKOUT` on a checkout that has it as a commit"
            )


def _lint(repository: Path) -> Counter[str]:
    """Collect what upstream's linters report, without line numbers, which every patch shifts."""
    mypy_cache = CACHE / "mypy-upstream"
    commands = (
        ("ruff", "check", "--no-cache", "--output-format", "concise", "src"),
        ("ruff", "format", "--no-cache", "--check", "src"),
        ("mypy", "--hide-error-context", "--no-error-summary", "--cache-dir", str(mypy_cache)),
    )
    said: Counter[str] = Counter()
    for command in commands:
        done = subprocess.run([sys.executable, "-m", *command], cwd=repository, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise HarnessError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
        lines = re.sub(r"^(\S+?):\d+(:\d+)?:", r"\1:", done.stdout, flags=re.MULTILINE).splitlines()
        # Notes explain errors, and counts follow from them.
        said.update(line for line in lines if re.match(r"src/\S+: (?!note:)|Would reformat:", line))
    return said


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `series`."""
    parser.add_argument("--checkout", type=Path, help="try the series on a checkout of upstream's repository")
    parser.set_defaults(run=lambda options: check(options.checkout))
