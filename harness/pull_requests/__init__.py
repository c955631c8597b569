"""The pull requests to upstream: their texts, and in `upstream/` the tests that they add."""
