"""How results are shown: the report page, the picture, the summary for CI, and the generated parts of two READMEs.

It reads what the verdict wrote to `out/`, and shows only verdicts that were made from the current files.
"""
