"""What the legs and rerankers of an index said, stored, so that plans can be tried without it.

* ``record``        what the legs found for each query, and what rerankers gave it
* ``record_file``   a record in one file, and the refusal of one that is not of this index
* ``setting``       the part of a plan that a replay can vary
* ``replay``        one query under one setting, through the funnel's own stages
* ``many``          many queries under many settings at once, in arrays
"""
