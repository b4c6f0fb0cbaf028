"""Write many documents, so that none is lost and none is doubled.

* ``batches``        documents → request bodies of a bounded size; pure
* ``answers``        what an answer means for each document of a batch; pure
* ``dead_letters``   the file with the documents that OpenSearch refused
* ``sending``        ``bulk_index``: the pipeline that sends, waits and sends again

The rules, in one table; every write names its ``_id``, so sending one again never doubles it:

===============================================  ===============================================
answer                                           what happens
===============================================  ===============================================
document 200, 201                                indexed
document 429, 502, 503, 504                      sent again after a pause
document 403 (block) or 404 (index is gone)      the load stops
document, any other status                       dead letter, with the reason
request 429, 500, 502, 503, 504, or no answer,   the whole batch is sent again after a pause
or one that cannot be read
request 413, 400                                 the batch is halved, down to the one document
                                                 that causes it, which is a dead letter
request, any other status                        the load stops
===============================================  ===============================================
"""

from opensearch_funnel.engine.bulk.batches import BulkLimits, Indexable
from opensearch_funnel.engine.bulk.sending import BulkReport, bulk_index

__all__ = ["BulkLimits", "BulkReport", "Indexable", "bulk_index"]
