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


def texts(cluster: Any, **options: int) -> IndexTexts:
    return IndexTexts(connect(Settings(url=cluster.url)), **options)


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


def test_texts_are_kept_by_their_length_and_not_by_their_number(cluster: Any) -> None:
    long, short, huge = (
        cluster.add(str(size), {"title": "", "text": "x" * size}) for size in (3000, 300, 9000)
    )
    found = texts(cluster, capacity=4000)
    for expected in (1, 1):
        found.fetch(PLAN, [long, short])
        assert cluster.searches == expected
    assert len(found.fetch(PLAN, [huge])[0]) == 9000, "too long to be kept, and read all the same"
    found.fetch(PLAN, [long, short])
    assert cluster.searches == 2, "and it drove nothing out"
    other = cluster.add("other", {"title": "", "text": "y" * 3000})
    found.fetch(PLAN, [other])
    found.fetch(PLAN, [short])
    assert cluster.searches == 3
    found.fetch(PLAN, [long])
    assert cluster.searches == 4, "the two long ones are more than is kept"


def test_a_text_that_its_hash_does_not_fit_is_read_and_not_kept(cluster: Any) -> None:
    key = cluster.add("1", {"title": "", "text": "before"})
    found = texts(cluster)
    # A partial update by a client: the text is another one, funnel.hash is as it was.
    cluster.documents["1"]["text"] = "after"
    assert found.fetch(PLAN, [key]) == ["after"]
    cluster.documents["1"]["text"] = "after that"
    assert found.fetch(PLAN, [key]) == ["after that"]
