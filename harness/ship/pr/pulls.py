"""The pull requests that the series makes: which patches and tests go with which, as `pulls.toml` has it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness import PATCHES, HarnessError
from harness.package import series, trees

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
        HarnessError: a patch is in none of them, or one of theirs is not in the series
    """
    known = {slug(patch): patch for patch in sorted([*series.whole(patches), *series.outside(patches)], key=lambda p: p.name)}
    listed = tomllib.loads(file.read_text(encoding="utf-8"))
    names = [entry["name"] for entry in listed["pull"]]
    of = listed["patches"]
    for name in sorted(of.keys() | known.keys()):
        if name not in known:
            raise HarnessError(f"{file.name} names the patch {name}, and the series has none of that name: correct it")
        if of.get(name) not in names:
            raise HarnessError(
                f'{known[name].name} is in no pull request: add `{name} = "{names[-1]}"` to {file.name}, or another'
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
