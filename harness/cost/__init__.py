"""Numbers: what the patches cost, what a model of full size costs, and how suite and chats scale.

Each part measures in processes of their own, which import one tree each, and leaves `out/benchmark*.json` and `.md`.
No test hangs on a time: hosts and hours differ, and only ratios of one run are compared.
"""
