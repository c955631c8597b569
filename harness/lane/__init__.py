"""Where the suite runs: devices, among them the stand-in accelerator, and processes that run one tree on one device.

It reads `harness/stacks/` and writes pytest's logs to `out/<lane>/`.
"""
