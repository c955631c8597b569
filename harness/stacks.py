"""The stacks of packages: finds the lock in `harness/stacks/` that this environment matches, package by package."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness import ROOT, HarnessError

# The stacks that an environment can match. The first is the default and is left out of names. OWN means that it matches none.
STACKS, OWN = ("pinned", "latest", "floor", "xla"), "own"
LOCKS = ROOT / "harness" / "stacks"
PACKAGES = ("torch", "torchaudio", "transformers", "safetensors", "numpy")


def require_stack(stack: str) -> None:
    """Check that this environment has the packages of a stack.

    Raises:
        HarnessError: there is no such lock, or a package has a different version in it
    """
    if not (LOCKS / f"{stack}.txt").is_file():
        raise HarnessError(f"--stack {stack}: there is no harness/stacks/{stack}.txt")
    if strange := next(_strange(stack), ""):
        raise HarnessError(
            f"--stack {stack}: this environment is another ({strange}): leave --stack out, or run `nox -s 'suite({stack})'`"
        )


@cache
def own_stack() -> str:
    """Return the stack that this environment matches, or "own", so that its verdict is not mistaken for one on `pinned`."""
    known = [stack for stack in STACKS if (LOCKS / f"{stack}.txt").is_file()]
    return next((stack for stack in known if not any(_strange(stack))), OWN)


def _strange(stack: str) -> Iterator[str]:
    """Find the packages of this environment that a stack lacks or has in another version, and those that it lacks itself."""
    lines = (LOCKS / f"{stack}.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"\w", line)]
    locked = {canonicalize_name(r.name): str(r.specifier) for r in asked if r.marker is None or r.marker.evaluate()}
    found = {canonicalize_name(d.name): f"=={d.version}" for d in distributions()}
    found.pop(canonicalize_name("liquid-audio"), None)  # the tree under test, which a test run has on its path
    for name in sorted(locked.keys() | found.keys()):
        if found.get(name) != locked.get(name):
            yield f"{name} {found.get(name, '')[2:] or 'is not installed'}"


def named(what: str, stack: str | None) -> str:
    """Add the name of a stack to that of a lane's files, unless it is the default."""
    return what if stack in (None, STACKS[0], what) else f"{what}-{stack}"
