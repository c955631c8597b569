"""The pull request: the series, tests that upstream can take, and what to say of each commit, made from the verdicts."""
