"""The pull requests: the series in parts, tests that upstream can take, and descriptions made from the verdicts."""
