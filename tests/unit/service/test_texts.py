"""The texts of the reranker belong to the key that they were asked for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from opensearch_funnel.core.errors import EngineUnreachableError, StageUnavailableError
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings

PLAN = FunnelPlan(alias="films", deadlines=Deadlines(rank_ms=10_000))


def texts(cluster: Any) -> IndexTexts:
    return IndexTexts(connect(Settings(url=cluster.url)))


def test_texts_come_in_the_order_of_the_keys_and_once(cluster: Any) -> None:
    keys = [cluster.add(i, {"title": i, "text": f"about {i}"}) for i in ("a", "b", "c")]
    found = texts(cluster)
    assert found.fetch(PLAN, keys[::-1]) == ["c. about c", "b. about b", "a. about a"]
    assert found.fetch(PLAN, keys[:2]) == ["a. about a", "b. about b"]
    assert cluster.searches == 1


def test_two_documents_of_one_id_keep_their_own_texts(cluster: Any) -> None:
    old = cluster.add("1", {"title": "", "text": "the old text"}, key="same")
    new = cluster.add("2", {"title": "", "text": "the new text"}, key="same")
    assert texts(cluster).fetch(PLAN, [new, old]) == ["the new text", "the old text"]


def test_a_document_that_was_changed_is_never_taken_for_what_was_found(cluster: Any) -> None:
    before = cluster.add("1", {"title": "", "text": "before"})
    after = cluster.add("1", {"title": "", "text": "after"})
    found = texts(cluster)
    with pytest.raises(StageUnavailableError, match="no longer in the index"):
        found.fetch(PLAN, [before])
    assert found.fetch(PLAN, [after]) == ["after"]


def test_plans_that_read_other_fields_do_not_share_texts(cluster: Any) -> None:
    key = cluster.add("1", {"title": "Heat", "text": "A thief."})
    found = texts(cluster)
    assert found.fetch(PLAN, [key]) == ["Heat. A thief."]
    titles = FunnelPlan(alias="films", text_fields=("title",), deadlines=PLAN.deadlines)
    assert found.fetch(titles, [key]) == ["Heat"]


def test_a_cluster_that_hangs_holds_a_thread_no_longer_than_the_deadline(cluster: Any) -> None:
    key = cluster.add("1", {"title": "", "text": "slow"})
    cluster.delay_s = 3.0
    hasty = FunnelPlan(alias="films", deadlines=Deadlines(rank_ms=200))
    start = time.monotonic()
    with pytest.raises(EngineUnreachableError, match="did not answer in time"):
        texts(cluster).fetch(hasty, [key])
    assert time.monotonic() - start < cluster.delay_s / 2
