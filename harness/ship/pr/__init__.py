"""The pull requests: the series in three parts, tests that upstream can take, and descriptions made from the verdicts."""
