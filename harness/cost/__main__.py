"""`python -m harness.cost`: what the patches cost (default), `--full`: a full-size model, `--scaling`: how costs grow."""

import argparse
import sys

from harness import trees
from harness.command import status


def main() -> int:
    """Measure one part, and exit with 0 only if its claims hold."""
    parser = argparse.ArgumentParser(prog="python -m harness.cost", description=__doc__)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--full", action="store_true", help="load and time a full-size model with random weights")
    part.add_argument("--scaling", action="store_true", help="time the suite by cases and workers, and measure long chats")
    parser.add_argument("--rounds", type=int, help="how often the comparison starts its processes (default: 10)")
    parser.add_argument("--device", help="with --full: where to compute (default: cpu)")
    parser.add_argument("--keep", action="store_true", help="with --full: keep the record, to commit it")
    parser.add_argument("--cases", type=int, nargs="+", help="with --scaling (default: 200 500 1000 2000 5000)")
    parser.add_argument("--workers", type=int, nargs="+", help="with --scaling (default: 1 2 4)")
    options = parser.parse_args()
    for name, belongs in {"device": "full", "keep": "full", "cases": "scaling", "workers": "scaling"}.items():
        if getattr(options, name) and not getattr(options, belongs):
            parser.error(f"--{name} goes with --{belongs}")
    if options.rounds is not None and (options.full or options.scaling):
        parser.error("--rounds goes with neither --full nor --scaling")
    return status(lambda: _run(options))


def _run(options: argparse.Namespace) -> bool:
    if options.full:
        from harness.cost.full import run as full

        return not full.run(options.device or "cpu", options.keep)
    if options.scaling:
        from harness.cost.scaling import run as scaling

        return not scaling.run(options.cases or scaling.CASES, options.workers or scaling.WORKERS)
    from harness.cost.patches import run as patches

    rounds = patches.ROUNDS if options.rounds is None else options.rounds
    patches.require_rounds(rounds)
    sys.path.insert(0, str(trees.resolve("patched").path))
    from harness.cost.patches import forms

    patches.run(rounds, forms.measure())
    return True


if __name__ == "__main__":
    sys.exit(main())
