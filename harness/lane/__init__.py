"""Where the suite runs: the devices, including the stand-in accelerator, and the processes that run one tree on one device.

It reads `harness/stacks/` and writes pytest's logs to `out/<lane>/`.
"""
