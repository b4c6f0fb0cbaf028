"""Two slots in one index: one is dropped while documents are written; on the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.progress import Advance
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.binding import in_slot
from opensearch_funnel.engine.indices import (
    EncodedBy,
    Slot,
    add_slot,
    index_body,
    read_funnel_meta,
)
from opensearch_funnel.migrating.dropping import drop_slot
from opensearch_funnel.testing import WordVector
from tests.engine.shelf import DENSE, SPARSE, encoded, stand_in_slot

pytestmark = pytest.mark.engine

OTHER = WordVector(fingerprint="00000000000b")
DOCUMENTS = 30


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> str:
    """An index whose slot b has a dense field alone, of another model."""
    client.indices.create(index=index_name, body=index_body(slot=stand_in_slot()))
    other = EncodedBy(model="other", fingerprint=OTHER.fingerprint, max_tokens=64)
    slot = Slot(name="b", sparse=None, dense=other, dimension=OTHER.dimension)
    add_slot(client, index=index_name, slot=slot)
    for number in range(DOCUMENTS):
        write(client, index_name, number)
    client.indices.refresh(index=index_name)
    return index_name


def write(client: OpenSearch, index: str, number: int, *, word: str = "fox") -> None:
    document = encoded({"title": "", "text": f"{word} n{number}"}, doc_id=f"d{number}")
    funnel = document["funnel"]
    funnel["dense_b"] = funnel["dense_a"]
    funnel["model"] = [SPARSE.fingerprint, DENSE.fingerprint, OTHER.fingerprint]
    routing = {"routing": "elsewhere"} if number % 2 else {}
    client.index(index=index, id=f"d{number}", body=document, params=routing)


def sources(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    client.indices.refresh(index=index)
    found = client.search(index=index, body={"size": 100}, params={"search_pipeline": "_none"})
    return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}


@dataclass
class Watching:
    """Calls something whenever documents were read."""

    then: Callable[[], None]

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        del label, total, unit
        yield lambda _: self.then()

    def say(self, line: str) -> None:
        raise AssertionError(line)


def test_a_plan_takes_the_models_of_another_slot_from_the_index(
    client: OpenSearch, index: str
) -> None:
    plan = bound_plan(client, in_slot(client, FunnelPlan(alias=index), slot="b"))
    assert (plan.slot, plan.active_legs) == ("b", ("bm25", "dense"))
    assert (plan.dense.model, plan.dense.fingerprint) == ("other", OTHER.fingerprint)
    assert plan.dense.max_tokens == 64
    present = bound_plan(client, FunnelPlan(alias=index))
    assert (present.sparse.max_tokens, present.dense.max_tokens) == (0, 0)
    with pytest.raises(InvalidPlanError, match="has no slot 'c'; it has: a, b"):
        in_slot(client, FunnelPlan(alias=index), slot="c")


def test_a_dropped_slot_is_gone_from_every_document_and_nothing_else_is(
    client: OpenSearch, index: str
) -> None:
    before = sources(client, index)
    assert drop_slot(client, index, slot="b", dry_run=True).documents == DOCUMENTS
    assert sources(client, index) == before
    report = drop_slot(client, index, slot="b")
    assert (report.documents, report.written) == (DOCUMENTS, DOCUMENTS)
    for document in before.values():
        del document["funnel"]["dense_b"]
        document["funnel"]["model"] = [SPARSE.fingerprint, DENSE.fingerprint]
    assert sources(client, index) == before
    assert read_funnel_meta(client, index=index)["slots"].keys() == {"a"}
    with pytest.raises(InputError, match="has no slot 'b'; it has: a"):
        drop_slot(client, index, slot="b")
    with pytest.raises(InputError, match="the only one"):
        drop_slot(client, index, slot="a")


def test_a_document_that_is_written_meanwhile_is_not_overwritten(
    client: OpenSearch, index: str
) -> None:
    numbers = iter(range(5))

    def somebody_writes() -> None:
        number = next(numbers, None)
        if number is not None:
            write(client, index, number, word="whale")

    report = drop_slot(client, index, slot="b", progress=Watching(somebody_writes))
    assert report.passes > 1
    left = sources(client, index)
    assert len(left) == DOCUMENTS
    assert all("dense_b" not in document["funnel"] for document in left.values())
    assert [left[f"d{n}"]["text"] for n in range(5)] == [f"whale n{n}" for n in range(5)]


def test_a_drop_that_was_ended_goes_on(client: OpenSearch, index: str) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drop_slot(client, index, slot="b", progress=Watching(interrupted))
    meta = read_funnel_meta(client, index=index)
    assert (meta["slots"].keys(), meta["dropping"]) == ({"a"}, ["b"])
    plan = FunnelPlan(alias=index, slot="b")
    with pytest.raises(InvalidPlanError):
        bound_plan(client, plan)
    assert drop_slot(client, index, slot="b").passes >= 1
    assert all("dense_b" not in one["funnel"] for one in sources(client, index).values())
    assert "dropping" not in read_funnel_meta(client, index=index)


def test_a_slot_that_a_pipeline_searches_is_not_dropped(
    client: OpenSearch, index: str, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = bound_plan(client, FunnelPlan(alias=index, rerank=Reranking(enabled=False)))
    done = apply_pipeline(client, plan, service_url="http://127.0.0.1:9", check=False)
    try:
        arguments = ["migrate", "drop", index, "--url", node_url, "--slot"]
        assert main([*arguments, "a"]) == 1
        assert f"pipeline {done.name} searches slot 'a'" in capsys.readouterr().err
        assert main([*arguments, "b", "--output", "json"]) == 0
        assert '"written": 30' in capsys.readouterr().out
    finally:
        remove_pipeline(client, done.name)
