"""`python -m harness`: the commands behind the sessions of nox and tox."""

import argparse
import sys
from importlib import import_module

from harness import HarnessError
from harness.command import status

# The module of each command, whose function `command` declares the arguments, and a line of help.
COMMANDS = {
    "verdict": ("verdict", "run the suite on both trees and compare"),
    "test": ("test", "run the suite on the patched tree, and the tests of harness/"),
    "tree": ("trees", "build a tree and print its folder, for PYTHONPATH"),
    "series": ("series", "check that the patches apply, re-export to the same bytes, and lint clean"),
    "census": ("report.census", "rewrite tests/census.txt from the last verdicts; its diff shows what was added or removed"),
    "readme": ("report.readme", "put the last verdicts into README.md, .github/matrix.svg and patches/README.md"),
    "page": ("report.page", "draw the verdicts of out/ as out/report.html and out/matrix.svg"),
    "pr": ("pull_requests.kit", "write out/pr/: four pull requests, each with its commits, tests and description"),
    "checkout": ("export", "create a repository of the release, with the series as commits"),
    "export": ("export", "write patches/ from the commits of a checkout of upstream's repository"),
    "drift": ("drift", "say what became of each patch in the newest release or in a checkout, and which locks are old"),
    "mutants": ("mutants", "break each changed line, and see which test notices"),
    "alternatives": ("alternatives", "run the suite on the other fixes in circulation, and check why it rejects each"),
    "benchmark": ("benchmark", "measure what the patches cost, or with --full what a model of full size costs"),
    "wheel": ("wheel", "build a wheel of the patched package in out/dist/"),
    "apply": ("apply", "patch the liquid-audio installed in an environment, in place"),
}


def main() -> int:
    """Run a command, and return its exit status: 0 only if its claim holds."""
    return status(_run)


def _run() -> bool | int | None:
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, words) in COMMANDS.items():
        chosen = commands.add_parser(name, help=words, description=words)
        if sys.argv[1:2] == [name]:  # other commands may need packages that are not installed
            try:
                import_module(f"harness.{module}").command(chosen)
            except ModuleNotFoundError as error:
                raise HarnessError(f"{error.name} is not installed here: run the command's session, such as `nox`") from None
    options = parser.parse_args()
    found: bool | int | None = options.run(options)
    return found


if __name__ == "__main__":
    sys.exit(main())
