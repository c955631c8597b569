"""What the tests of `tests/` share: spoken clips, what they hear, and how they expect a refusal.

It reads `fixtures/` and writes nothing.
"""
