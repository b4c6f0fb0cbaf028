"""The proof that a migration's target is what the source is, and has what the funnel needs.

* ``proving``     ``verify``: all checks, and the proof in the migration's log
* ``documents``   id, routing, ``_source``, version and origin of every document
* ``coverage``    the object ``funnel`` of one document
* ``searchable``  whether what is stored is found
* ``schema``      mapping and settings
* ``probes``      the queries of a file
* ``rankings``    what both indices answer to them
* ``report``      the outcome, and how it is kept
"""

from opensearch_funnel.migrating.verifying.documents import Comparison, compare_documents
from opensearch_funnel.migrating.verifying.probes import ProbeQuery, read_queries
from opensearch_funnel.migrating.verifying.proving import verify
from opensearch_funnel.migrating.verifying.rankings import Wanted
from opensearch_funnel.migrating.verifying.report import (
    Check,
    Proof,
    VerifyReport,
    by_shard,
    last_proof,
)

__all__ = [
    "Check",
    "Comparison",
    "ProbeQuery",
    "Proof",
    "VerifyReport",
    "Wanted",
    "by_shard",
    "compare_documents",
    "last_proof",
    "read_queries",
    "verify",
]
