"""The pull requests that the series makes: which patches and tests go with which, as `pulls.toml` has it."""

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness import PATCHES, HarnessError, series, trees

HERE = Path(__file__).parent
LIST = HERE / "pulls.toml"
# Upstream does not name pytest yet. As this changes what no wheel has, it is tried on a checkout alone.
TOOLS = HERE / "Name-pytest-among-the-tools.patch"


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Attributes:
        number: its place in the order, from 1
        name: of its text, `<name>.md.jinja`
        tests: the file that it adds
        commit: the message with which it adds it
        patches: in the order in which they apply
    """

    number: int
    name: str
    tests: Path
    commit: str
    patches: tuple[Path, ...]

    @property
    def folder(self) -> str:
        """Name of its folder in the kit."""
        return f"{self.number}-{self.name}"

    @property
    def code(self) -> list[Path]:
        """Those of its patches that change the package."""
        package = {patch.name for patch in trees.series(self.patches[0].parent)}
        return [patch for patch in self.patches if patch.name in package]


def read(patches: Path = PATCHES, file: Path = LIST) -> list[Pull]:
    """Read the pull requests.

    Raises:
        HarnessError: a patch is in none of them or in two, or one of theirs is not in the series
    """
    known = {slug(patch): patch for patch in [*series.whole(patches), *series.outside(patches)]}
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["pull"]
    named = Counter(name for entry in entries for name in entry["patches"])
    for name in sorted(named.keys() | known.keys()):
        if name not in known:
            raise HarnessError(f"{file.name} names {name}, and the series has no such patch: correct it")
        if named[name] != 1:
            raise HarnessError(f"{known[name].name} is in {named[name]} pull requests: name it in one of {file.name}")
    return [
        Pull(
            number,
            entry["name"],
            HERE / entry["tests"],
            entry["commit"].strip() + "\n",
            tuple(sorted((known[name] for name in entry["patches"]), key=lambda patch: patch.name)),
        )
        for number, entry in enumerate(entries, 1)
    ]


def slug(patch: Path) -> str:
    """Name a patch without its number."""
    return patch.stem.partition("-")[2]
