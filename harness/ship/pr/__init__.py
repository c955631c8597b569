"""The pull requests: the series in three parts, tests that upstream can take, and what to say, made from the verdicts."""
