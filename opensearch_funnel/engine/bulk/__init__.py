"""Write many documents, so that none is lost and none is doubled.

* ``lines``          single writes as the bulk API reads them, deletes among them; pure
* ``batches``        lines → requests of a bounded size; pure
* ``answers``        what an answer means for each document of a batch; pure
* ``patience``       how long a sender waits, and for what
* ``dead_letters``   the file with the documents that OpenSearch refused
* ``sender``         one batch, sent until each of its documents is settled
* ``sending``        ``bulk_index``: any number of documents, with senders beside the reader
* ``writing``        ``bulk_write``: some lines, in the calling thread, each accounted for

The rules, in one table; every write names its ``_id``, so sending one again never doubles it:

===============================================  ===============================================
answer                                           what happens
===============================================  ===============================================
document 200, 201                                indexed
delete 404 that names no error                   there was none to delete: counts as indexed
document 409, with ``keep_conflicts``            kept: the index has this version or a newer one
document 429, 502, 503, 504                      sent again after a pause
document or request refused because of a full    the same; with ``wait_for_blocks`` for that long,
disk (block 12 or 13; 429, of a cluster 403)     however many tries it takes
document refused because of another block, of    the load stops
a closed or missing index, or of missing rights
delete, any other status                         the load stops: no dead letter could hold it
document, any other status                       dead letter, with the reason
request 429, 500, 502, 503, 504, or no answer,   the whole batch is sent again after a pause
or one that cannot be read
request 413, 400                                 the batch is halved, down to the one document
                                                 that causes it, which is a dead letter
request, any other status                        the load stops
===============================================  ===============================================
"""

from opensearch_funnel.engine.bulk.batches import BulkLimits
from opensearch_funnel.engine.bulk.lines import (
    Indexable,
    Line,
    Refused,
    delete_line,
    line_of_bytes,
    refused,
)
from opensearch_funnel.engine.bulk.sending import BulkReport, bulk_index
from opensearch_funnel.engine.bulk.writing import BulkOutcome, bulk_write

__all__ = [
    "BulkLimits",
    "BulkOutcome",
    "BulkReport",
    "Indexable",
    "Line",
    "Refused",
    "bulk_index",
    "bulk_write",
    "delete_line",
    "line_of_bytes",
    "refused",
]
