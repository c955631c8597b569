"""What the tests of `tests/` share: spoken clips, transcription, and the expectation of an error.

It reads `fixtures/` and writes nothing.
"""
