"""What the patches cost: the time of calls, patched against upstream, with intervals."""
