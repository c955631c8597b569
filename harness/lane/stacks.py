"""Which stack of packages an environment is: one whose lock in `harness/stacks/` it agrees with. Standard library alone."""

from collections.abc import Iterator
from importlib.metadata import version

from harness import ROOT, HarnessError

# The stacks that an environment may be, the first of which goes without saying, and what it is that is none of them.
STACKS, OWN = ("pinned", "latest", "floor", "xla"), "own"
LOCKS = ROOT / "harness" / "stacks"
PACKAGES = ("torch", "torchaudio", "transformers", "safetensors", "numpy")


def require_stack(stack: str) -> None:
    """Refuse to call this environment by a stack's name when it has other packages.

    Raises:
        HarnessError: there is no such lock, or it has another version of a package
    """
    if not (LOCKS / f"{stack}.txt").is_file():
        raise HarnessError(f"--stack {stack}: there is no harness/stacks/{stack}.txt")
    if strange := next(_strange(stack), ""):
        raise HarnessError(f"--stack {stack}: {stack}.txt has no {strange}, run `nox -s 'suite({stack})'`")


def own_stack() -> str:
    """Say which stack this environment is; "own" if it is none, so that nobody takes its verdict for one on `pinned`."""
    known = [stack for stack in STACKS if (LOCKS / f"{stack}.txt").is_file()]
    return next((stack for stack in known if not any(_strange(stack))), OWN)


def _strange(stack: str) -> Iterator[str]:
    """Find the packages of this environment that a stack has not, or has in another version."""
    locked = (LOCKS / f"{stack}.txt").read_text(encoding="utf-8").split()
    yield from (f"{name} {version(name)}" for name in PACKAGES if f"{name}=={version(name)}" not in locked)


def named(what: str, stack: str | None) -> str:
    """Give what a lane leaves the name of its stack, unless that goes without saying."""
    return what if stack in (None, STACKS[0], what) else f"{what}-{stack}"
