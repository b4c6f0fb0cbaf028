"""``funnel doctor``: what is wrong with a cluster, its pipelines, a service or this installation.

Facts are gathered first, by calls that only read. The checks are pure functions of them: one file
a topic, ``check_…``, each yielding findings with the command that puts them right.
"""
