"""How a time grows with a length."""

from collections.abc import Sequence

type Growth = Sequence[float]


def fit(lengths: Sequence[float], times: Sequence[float], degree: int) -> Growth:
    """Fit times by length with a polynomial without negative coefficients, by least squares of relative errors.

    Returns:
        the coefficients, the constant first
    """
    import numpy as np
    from scipy.optimize import nnls

    if len(lengths) <= degree:
        raise ValueError(f"{len(lengths)} lengths do not give a polynomial of degree {degree}")
    # Scale the lengths, because squares of seconds beside ones would lose digits.
    longest = max(lengths)
    terms = np.vander(np.asarray(lengths, dtype=float) / longest, degree + 1, increasing=True)
    found, _ = nnls(terms / np.asarray(times)[:, None], np.ones(len(times)))
    return [float(value / longest**n) for n, value in enumerate(found)]
