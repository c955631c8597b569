"""Ratios between two trees, as medians with bootstrap confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy import stats

from harness import HarnessError

# With fewer values, a bootstrap cannot reach its confidence: five lie on one side of the median in 2 of 2**5 cases.
FEWEST = 6
CONFIDENCE, RESAMPLES, SEED = 0.95, 9_999, 15
MOST = 1.02


@dataclass(frozen=True)
class Interval:
    """A median and its confidence interval.

    Attributes:
        middle: the median
        low: the lower end
        high: the upper end
    """

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


def interval(values: Sequence[float]) -> Interval:
    """Bootstrap the median of independent values.

    Raises:
        HarnessError: there are too few
    """
    if len(values) < FEWEST:
        raise HarnessError(f"{len(values)} rounds are too few for an interval of {CONFIDENCE:.0%}: pass {FEWEST} or more")
    drawn = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return Interval(float(np.median(values)), float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def paired(times: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> list[float]:
    """Compare two trees round by round.

    The rounds of one process resemble each other, because its memory layout stays the same, so they count as one value.

    Args:
        times: for each process of a tree, what each round took
        base: the same for the processes beside them

    Returns:
        the median ratio of the rounds, for each pair of processes
    """
    return [
        median(time / other for time, other in zip(rounds, others, strict=True))
        for rounds, others in zip(times, base, strict=True)
    ]


def goal(found: Interval) -> str:
    """Say whether an interval contains 1 and ends below `MOST`."""
    if found.low > 1:
        return f"more than {MOST:.2f}" if found.low > MOST else "costs more"
    if found.high < 1:
        return "costs less"
    return "met" if found.high <= MOST else "too wide to tell"
