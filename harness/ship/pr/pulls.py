"""The pull requests of the series, each with its patches and tests, as `pulls.toml` lists them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness import PATCHES, HarnessError, series, trees

HERE = Path(__file__).parent
LIST = HERE / "pulls.toml"
# Upstream does not name pytest yet. This changes a file outside the wheel, so it is tried only on a checkout.
TOOLS = HERE / "Name-pytest-among-the-tools.patch"


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Attributes:
        number: its place in the order, from 1
        name: name of its text, `<name>.md.jinja`
        tests: the file of tests that it adds
        commit: the message of the commit that adds the tests
        patches: its patches, in the order in which they apply
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
        """The patches that change the package."""
        package = {patch.name for patch in trees.series(self.patches[0].parent)}
        return [patch for patch in self.patches if patch.name in package]


def read(patches: Path = PATCHES, file: Path = LIST) -> list[Pull]:
    """Read the pull requests.

    Raises:
        HarnessError: a patch is in none of them, or one that they name is not in the series
    """
    known = {slug(patch): patch for patch in sorted([*series.whole(patches), *series.outside(patches)], key=lambda p: p.name)}
    listed = tomllib.loads(file.read_text(encoding="utf-8"))
    names = [entry["name"] for entry in listed["pull"]]
    of = listed["patches"]
    for name in sorted(of.keys() | known.keys()):
        if name not in known:
            raise HarnessError(f"{file.name} names the patch {name}, which is not in the series: correct it")
        if of.get(name) not in names:
            raise HarnessError(
                f'{known[name].name} is in no pull request: add `{name} = "{names[-1]}"` to {file.name}, or name another one'
            )
    return [
        Pull(
            number,
            entry["name"],
            HERE / entry["tests"],
            entry["commit"].strip() + "\n",
            tuple(patch for name, patch in known.items() if of[name] == entry["name"]),
        )
        for number, entry in enumerate(listed["pull"], 1)
    ]


def slug(patch: Path) -> str:
    """Name a patch without its number."""
    return patch.stem.partition("-")[2]
