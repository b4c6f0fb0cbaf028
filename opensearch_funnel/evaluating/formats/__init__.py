"""Query sets, judgments and runs in the formats that people have, through one model.

* ``model``      what a file says: queries, their judgments; and a run
* ``findings``   what is wrong with a file, or lost on the way: kinds, counts, examples
* ``grades``     a grade as a file has it → a number, exactly
* ``beir``, ``trec``, ``trec_run``, ``quepid``, ``workbench``, ``workbench_queries``,
  ``ir_datasets_names``   one format each
* ``detecting``  a path → its format
* ``reading``, ``writing``   any format → the model, and back
* ``against``    judgments and runs against a corpus, and against each other
"""
