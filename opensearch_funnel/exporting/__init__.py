"""Checkpoints to graphs with torch and transformers: only here, only to export and to compare.

Nothing that serves imports this package; it needs the extra ``export``.
"""
