"""Which fusion and which reranking is the best on known queries, and whether that is no chance.

* ``grid``     the settings to try
* ``costs``    what a setting takes to answer one query
* ``search``   successive halving on folds, the held-out gain, and the front of quality and cost
"""
