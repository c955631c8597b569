"""Try the series on another release: each patch applies, is in already, is obsolete or conflicts.

The release is unpacked and read, never imported or run. The only third-party package that this needs is filelock.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import CACHE, PATCHES, HarnessError, series, trees, wheels

NOTHING: Mapping[str, str] = {}
STATUS = """\
without an option: the newest final release that pip finds

exit status:
  0  every patch applies
  3  every patch applies or is in already: drop those that are in
  4  a patch conflicts or may be obsolete: rebase it, or drop it
  2  no answer: no network, no such release, no such folder
"""


@dataclass(frozen=True)
class Finding:
    """The result of trying one patch.

    Attributes:
        patch: its file name
        state: "obsolete" if none of the lines that it replaces is left
        words: a sentence
    """

    patch: str
    state: Literal["applies", "in", "obsolete", "conflicts"]
    words: str


def run(checkout: Path | None = None, version: str | None = None) -> int:
    """Try the series on a checkout, a version or the newest release, and print the result as Markdown.

    Returns:
        the exit status that `--help` explains
    """
    with tempfile.TemporaryDirectory() as folder:
        patches = [*series.whole(PATCHES), *series.outside(PATCHES)]
        if checkout:
            name, tree = str(checkout), _package_folder(checkout)
            files = {file: checkout / file for file in beside(patches)}
            texts = {file: path.read_text(encoding="utf-8") for file, path in files.items() if path.is_file()}
        else:
            name, tree = _release(version or published()[0], Path(folder))
            readme = series.published_readme(tree)
            texts = {"README.md": readme} if readme else {}
        print(f"## The series on {name}\n", flush=True)
        missing = {patch.name: file for patch in patches for file in beside([patch]) if file not in texts}
        findings = examine(tree, [patch for patch in patches if patch.name not in missing], texts)
    for finding in findings:
        print(f"- `{finding.patch}` {finding.words}.")
    for patch, file in missing.items():
        print(f"- `{patch}` was not tried: there is no {file}.")
    status, words = conclude(findings)
    print(f"\n**{words}.**")
    return status


def published(*options: str) -> list[str]:
    """Ask pip for the published versions, newest first: only final ones, unless an option asks for more.

    Raises:
        HarnessError: pip cannot tell
    """
    command = [sys.executable, "-m", "pip", "--retries", "1", "index", "versions", "--ignore-requires-python"]
    done = subprocess.run([*command, *options, "liquid-audio"], capture_output=True, text=True)
    found = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise HarnessError(f"cannot ask pip for the releases of liquid-audio, which needs pip and a network: {reason}")
    return found[1].split(", ")


def beside(patches: Sequence[Path]) -> list[str]:
    """List the files outside the package that patches change."""
    changed = (re.findall(r"^\+\+\+ b/(\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE) for patch in patches)
    return sorted({file for files in changed for file in files if not file.startswith("src/")})


def examine(tree: Path, patches: Sequence[Path], texts: Mapping[str, str] = NOTHING) -> list[Finding]:
    """Try the patches in order on a copy of a tree and of files beside it, each on top of the earlier ones that apply."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(tree / trees.PACKAGE, copy / "src" / trees.PACKAGE, symlinks=True)
        for file, text in texts.items():
            (copy / file).parent.mkdir(exist_ok=True)
            (copy / file).write_text(text, encoding="utf-8")
        return [_examine(copy, patch) for patch in patches]


def conclude(findings: Sequence[Finding]) -> tuple[int, str]:
    """Sum up the findings as an exit status and a sentence."""
    states = [finding.state for finding in findings]
    bad, are_in = states.count("conflicts") + states.count("obsolete"), states.count("in")
    words = f"{states.count('applies')} of {len(states)} patches apply, {are_in} in already, {bad} to rebase or to drop"
    return 4 if bad else 3 if are_in else 0, words


def _package_folder(checkout: Path) -> Path:
    """Find the folder that holds the package in a checkout of upstream's repository."""
    for folder in (checkout / "src", checkout):
        if (folder / trees.PACKAGE / "__init__.py").is_file():
            return folder
    raise HarnessError(f"--checkout {checkout}: expected a folder that holds src/{trees.PACKAGE}/ or {trees.PACKAGE}/")


def _release(version: str, folder: Path) -> tuple[str, Path]:
    """Unpack a release, a known one as it is pinned and any other into a folder. Returns its name and its tree."""
    if known := wheels.RELEASES.get(version):
        return f"liquid-audio {version}", trees.resolve("upstream", cache=CACHE, release=known).path
    wheel = wheels.download(version, folder)
    wheels.unpack(wheel, folder / "tree")
    return (
        f"liquid-audio {version}, not in harness/releases.toml yet, SHA-256 {wheels.sha256(wheel)}",
        folder / "tree",
    )


def _examine(copy: Path, patch: Path) -> Finding:
    """Try one patch, and leave it applied if it applies."""
    # Try the reverse first: where the context occurs twice, git could add lines that are in already once more.
    if not trees.git_apply(patch, copy, "--check", "--reverse", strip=1):
        return Finding(patch.name, "in", "is in already: drop it")
    complaint = trees.git_apply(patch, copy, strip=1)
    if not complaint:
        return Finding(patch.name, "applies", "applies")
    where = _where(patch, complaint)
    replaced = list(_replaced(patch))
    if replaced and not any(line in _lines(copy / file) for file, line in replaced):
        return Finding(patch.name, "obsolete", f"may be obsolete, none of the lines that it replaces is left: {where}")
    return Finding(patch.name, "conflicts", f"conflicts: {where}")


def _where(patch: Path, complaint: str) -> str:
    """Name the hunk of a patch that git rejects, or return any other complaint as it is."""
    match = re.fullmatch(r"patch failed: (.+):(\d+)", complaint)
    if not match:
        return complaint
    sections = re.split(r"^diff --git ", patch.read_text(encoding="utf-8"), flags=re.MULTILINE)
    section = next(part for part in sections if f"a/{match[1]} b/" in part.partition("\n")[0])
    headers = re.findall(r"^@@ -.+? @@", section, re.MULTILINE)
    n, header = next((n, header) for n, header in enumerate(headers, 1) if re.match(rf"@@ -{match[2]}\b", header))
    return f"{match[1]}, first in hunk {n} of {len(headers)}, `{header}`"


def _replaced(patch: Path) -> Iterator[tuple[str, str]]:
    """Yield each line that a patch replaces with its file, except lines without a word."""
    file = ""
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("--- a/"):
            file = line.removeprefix("--- a/")
        elif line.startswith("-") and re.search(r"\w", line) and not line.startswith("--- "):
            yield file, line[1:].strip()


def _lines(file: Path) -> set[str]:
    """Read the lines of a file, whatever their indentation; none if there is no such file."""
    return {line.strip() for line in file.read_text(encoding="utf-8").splitlines()} if file.is_file() else set()


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `drift`."""
    parser.epilog, parser.formatter_class = STATUS, argparse.RawDescriptionHelpFormatter
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--checkout", type=Path, help="a folder that holds src/liquid_audio/ or liquid_audio/")
    source.add_argument("--version", help="a published version")
    parser.set_defaults(run=lambda options: run(options.checkout, options.version))
