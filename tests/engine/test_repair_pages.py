"""Which documents a repair reads, of an index that gives out few at once."""

from __future__ import annotations

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import shard_bounds
from opensearch_funnel.migrating.repair_pages import pages
from tests.engine.migrations import films, make_source

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("pending_only", [True, False])
def test_every_document_is_read_where_the_index_gives_out_fewer_at_once(
    client: OpenSearch, index_name: str, pending_only: bool
) -> None:
    index = make_source(client, index_name, max_result_window=7)
    films(client, index, range(60))
    found = [
        document.doc_id
        for documents, _ in pages(
            client,
            index,
            after={},
            bounds=shard_bounds(client, index),
            size=20,
            pending_only=pending_only,
        )
        for document in documents
    ]
    assert sorted(found) == sorted(f"d{number}" for number in range(60))
