"""The texts that the reranker reads: fetched once, kept by key."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from cachetools import LRUCache
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.text import HASH_LENGTH, encoded_text, text_hash
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.queries import Body
from opensearch_funnel.engine.rewriting import KEY_FIELDS
from opensearch_funnel.engine.searching import fused_ids
from opensearch_funnel.engine.service_fusion import ServiceFusion
from opensearch_funnel.service.waiting import current_asker

CACHED_CHARACTERS = 100_000_000
"""Of all texts that a service keeps: about 100 MB, of scripts other than Latin up to 400 MB."""
_KEY_CHARACTERS = 200
"""What a text counts beyond its own length: its key takes memory, too."""
_MILLISECONDS = 1000
_LEFT_FOR_THE_REST = 0.2
"""Share of a rewrite's deadline in which it still answers where the legs could not be searched."""


class IndexTexts:
    """Texts of documents by ``funnel.id`` and ``funnel.hash``.

    The hash in the key is of the very text, so a document that changed has another key and
    nothing stale is ever kept; no request has to ask whether a kept text still holds. A text of
    another hash is read and not kept: a client changed the document and left ``funnel`` as it
    was, or the plan reads other fields than those that were encoded.
    """

    def __init__(self, client: OpenSearch, *, capacity: int = CACHED_CHARACTERS) -> None:
        """Make the texts; none is read yet.

        Args:
            client: the cluster.
            capacity: how many characters are kept, with 200 for each text's key.
        """
        self._client = client
        self._lock = Lock()
        self._kept: LRUCache[tuple[str, tuple[str, ...], str], str] = LRUCache(
            capacity, getsizeof=_size
        )

    def fetch(self, plan: FunnelPlan, keys: Sequence[str]) -> list[str]:
        """Return the text of each key, in order.

        Args:
            plan: says in which index the documents are, and which fields make up the text.
            keys: ``funnel.id`` and ``funnel.hash``, glued together.

        Raises:
            StageUnavailableError: a document is gone, or was changed since.
            EngineError: the cluster did not answer within the plan's deadline, or refused.
        """
        where = (plan.alias, plan.text_fields)
        with self._lock:
            found = {key: self._kept.get((*where, key)) for key in keys}
        missing = [key for key, text in found.items() if text is None]
        if missing:
            fetched = self._from_index(plan, missing)
            lasting = {
                key: text
                for key, text in fetched.items()
                if text_hash(text) == key[-HASH_LENGTH:] and _size(text) <= self._kept.maxsize
            }
            with self._lock:
                for key, text in lasting.items():
                    self._kept[*where, key] = text
            found.update(fetched)
        texts = [found[key] for key in keys]
        complete = [text for text in texts if text is not None]
        if len(complete) != len(keys):
            raise StageUnavailableError("a hit is no longer in the index")
        return complete

    def fused_list(
        self,
        plan: FunnelPlan,
        search: TextSearch,
        legs: Mapping[str, Body],
        post_filter: Mapping[str, Any] | None,
    ) -> FusedList:
        """Return a search's fused list: by the engine all of it, by the service what is needed.

        Raises:
            EngineError: the cluster did not answer within the plan's deadline, or refused.
            InvalidRankingError: a leg has a score that is not finite.
        """
        if plan.fusion.by_service:
            fusion = ServiceFusion(client=self._client, plan=plan, until=_search_until(plan))
            return fusion.fused_list(search, legs, post_filter=post_filter)
        ids = fused_ids(
            self._client,
            plan,
            legs=legs,
            holds=search.filter,
            post_filter=post_filter,
            timeout_s=plan.deadlines.rewrite_ms / _MILLISECONDS,
        )
        return FusedList(ids=ids, hits=len(ids))

    def _from_index(self, plan: FunnelPlan, keys: Sequence[str]) -> dict[str, str]:
        response = self._client.search(
            index=plan.alias,
            body={
                "query": {
                    "bool": {
                        "filter": [
                            {"terms": {"funnel.id": sorted({k[:-HASH_LENGTH] for k in keys})}},
                            {"terms": {"funnel.hash": sorted({k[-HASH_LENGTH:] for k in keys})}},
                        ]
                    }
                },
                "size": len(keys),
                "_source": list(plan.text_fields),
                "docvalue_fields": list(KEY_FIELDS),
                "track_total_hits": False,
            },
            params={
                "search_pipeline": "_none",
                # Nobody reads an answer that comes later, and the thread is needed again.
                "request_timeout": plan.deadlines.rank_ms / _MILLISECONDS,
            },
        )
        texts = {
            _key(hit): encoded_text(hit.get("_source", {}), fields=plan.text_fields)
            for hit in response["hits"]["hits"]
        }
        return {key: texts[key] for key in keys if key in texts}


def _search_until(plan: FunnelPlan) -> float:
    """Return when a rewrite has to go on without the list, on the monotonic clock."""
    whole = plan.deadlines.rewrite_ms / _MILLISECONDS
    asker = current_asker()
    deadline = time.monotonic() + whole if asker is None else asker.deadline
    return deadline - _LEFT_FOR_THE_REST * whole


def _size(text: str) -> int:
    return len(text) + _KEY_CHARACTERS


def _key(hit: Mapping[str, Any]) -> str:
    return "".join(str(hit["fields"][field][0]) for field in KEY_FIELDS)
