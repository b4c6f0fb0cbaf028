"""Plain documents and indices into ones that a funnel can search.

* ``encoding``   documents → the same with sparse and dense fields
"""
