"""Checks for a user's CI: each compares what is with what was, and passes or fails.

``checks`` is what a check says and ``gate_page`` how it is shown; ``snapshot`` is what a baseline
file holds. One check a file: ``quality`` with ``latency`` and ``languages``, ``freshness`` with
``probe``, ``quantized``, ``drift``.
"""
