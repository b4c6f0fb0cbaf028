"""Read an index shard by shard, in the order of its operations (``_seq_no``).

* ``bounds``       up to which operation a search sees everything that was done
* ``pages``        the documents behind an operation, byte for byte, in order
* ``windows``      pages no larger than an index gives out at once
* ``histograms``   how many documents there are in each range of operations

Each write gives its document a new, higher number. So whoever has read everything up to a bound
meets, behind that bound, every document written since: a copy and all that follows it are one
loop, which any worker can go on with. What was deleted leaves nothing to be met.
"""

from opensearch_funnel.engine.scanning.bounds import ShardState, shard_bounds, shard_states
from opensearch_funnel.engine.scanning.histograms import seq_no_histogram
from opensearch_funnel.engine.scanning.pages import StoredDocument, read_page
from opensearch_funnel.engine.scanning.windows import ask_within_window

__all__ = [
    "ShardState",
    "StoredDocument",
    "ask_within_window",
    "read_page",
    "seq_no_histogram",
    "shard_bounds",
    "shard_states",
]
