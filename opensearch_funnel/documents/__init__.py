"""Files of a user's into documents.

* ``document``    what a document is
* ``readers``     any supported file → documents, refusing what is broken by file and line
* ``lines``       bytes on disk → numbered lines of text
* ``objects``     ndjson, BEIR and dead letters
* ``delimited``   CSV and TSV
"""
