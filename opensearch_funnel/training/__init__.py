"""Listwise training data for rerankers: everything that needs no deep-learning package.

The training loop itself is ``scripts/train-cross-encoder``; these modules decide what it sees, so
that the choice of negatives, the share of each corpus and the held-out queries can be tested
without torch.
"""
