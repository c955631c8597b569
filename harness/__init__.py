"""The machinery around the suite: trees, checkpoint, verdict. Nothing here is needed to use the patches."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
OUT = ROOT / "out"
PATCHES = ROOT / "patches"

# The stages, each a folder. A module imports from its own stage and from those before it.
STAGES = ("package", "suite", "sim", "lane", "verdict", "cost", "compare", "demo", "show", "ship")


class HarnessError(Exception):
    """An error that the user can correct. Its message is one sentence that says how."""
