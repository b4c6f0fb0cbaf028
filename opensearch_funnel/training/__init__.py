"""Training of rerankers and encoders: what they see, the loop around it, and what it looked like.

The models themselves are in ``scripts/train-cross-encoder``, ``train-splade`` and ``train-dense``.
What chooses negatives, shares and held-out queries needs no deep-learning package; torch is
imported where it is used.
"""
