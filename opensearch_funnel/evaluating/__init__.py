"""How good a search is, measured on judged queries.

* ``datasets``   a folder in the BEIR layout → queries, judgments, documents
* ``formats``    queries and judgments in the formats that people have, into one model and back
* ``query_log``, ``query_sampling``   what people searched → the queries of an evaluation set
* ``labelling``  ways to judgments: by hand, from clicks, by a language model
* ``agreement``  two judges → Cohen's kappa
* ``measures``   rankings and judgments → nDCG@10 and others, with an interval
* ``systems``    what is measured: anything that answers a query with ids
* ``indexing``   the index that a data set is loaded into, once
* ``differences``   how much one system is better than another, query by query
* ``reports``    systems and a data set → one report
* ``significance``, ``comparing``   systems on the same queries → who is better, how surely
* ``replaying``, ``attribution``   what one search found → any plan's answer, and where nDCG is lost
* ``tuning``     judged queries → the plan that suits them, with the evidence
* ``gating``     checks that fail a build when search got worse
* ``funnel_systems``   the legs of a plan alone, fused, and through the pipeline
* ``switch``, ``trials``   whether reranking is worth its time, decided on evidence
"""
