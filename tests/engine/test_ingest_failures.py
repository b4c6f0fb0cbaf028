"""A service that is gone, hangs or talks nonsense costs no document: it is written, and pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import Deadlines
from tests.engine.live import (
    CountedWeights,
    FakeService,
    bulk,
    fake_service,
    found_by,
    funnel_of,
    live_index,
    ready,
    refused,
)
from tests.engine.shelf import stand_in_service

pytestmark = pytest.mark.engine

FOX, DOG = "a red fox", "two blue dogs"
MANY = 100
HASTY = Deadlines(rewrite_ms=700, rank_ms=700, encode_ms=700)
"""The engine waits a second for each: what it waits in vain for is what is tested."""


def hang(fake: FakeService) -> None:
    fake.hangs = True


FAULTS: dict[str, Callable[[FakeService], None]] = {
    "refuses": lambda fake: fake.says({"error": "x"}, status=500),
    "is busy": lambda fake: fake.says({"error": "x"}, status=503),
    "talks HTML": lambda fake: fake.says(b"<html><body>It works!</body></html>"),
    "says nothing": lambda fake: fake.says(b""),
    "says half of it": lambda fake: fake.says(b'{"funnel": "{', announced=500),
    "is another one": lambda fake: fake.says({"results": [1]}),
    "answers with a list": lambda fake: fake.says([{"funnel": "{}"}]),
    "answers with nothing": lambda fake: fake.says({"funnel": None}),
    "answers with an object": lambda fake: fake.says({"funnel": {"state": "ready"}}),
    "answers with a number": lambda fake: fake.says({"funnel": 7}),
    "answers with no JSON": lambda fake: fake.says({"funnel": "ready"}),
    "answers with a JSON list": lambda fake: fake.says({"funnel": "[1]"}),
    "hangs": hang,
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeService]:
    with fake_service() as service:
        yield service


@pytest.fixture
def index(client: OpenSearch, index_name: str, fake: FakeService) -> Iterator[str]:
    with live_index(client, index_name, url=fake.url, check=False, deadlines=HASTY):
        yield index_name


@pytest.mark.parametrize("fault", FAULTS)
def test_every_document_of_a_bulk_is_written_pending_and_found_by_its_words(
    client: OpenSearch, index: str, fake: FakeService, fault: str
) -> None:
    FAULTS[fault](fake)
    before = fake.calls
    lines = [
        line
        for number in range(MANY)
        for line in ({"index": {"_index": index, "_id": f"d{number}"}}, {"text": f"{FOX} {number}"})
    ]
    assert [one["status"] for one in bulk(client, *lines)] == [201] * MANY
    assert fake.calls > before
    for number in range(MANY):
        expected = {"id": f"d{number}", "state": "pending"}
        assert funnel_of(client, index, f"d{number}") == expected
    answer = client.search(index=index, body={"query": {"match": {"text": "fox"}}})
    assert answer["hits"]["total"]["value"] == MANY
    client.index(index=index, id="single", body={"text": DOG})
    assert funnel_of(client, index, "single") == {"id": "single", "state": "pending"}
    (auto,) = bulk(client, {"index": {"_index": index}}, {"text": DOG})
    assert auto["status"] == 201
    assert funnel_of(client, index, auto["_id"]) == {"state": "pending"}


def test_a_document_that_cannot_be_encoded_keeps_nothing_of_its_old_text(
    client: OpenSearch, index_name: str
) -> None:
    sparse = CountedWeights()
    with (
        stand_in_service(client, models=sparse.models) as url,
        live_index(client, index_name, url=url),
    ):
        copied = {**ready(FOX, key="1"), "origin": 5}
        client.index(
            index=index_name,
            id="1",
            body={"text": FOX, "funnel": copied},
            params={"pipeline": "_none"},
        )
        sparse.down = True
        client.update(index=index_name, id="1", body={"doc": {"text": DOG}})
        assert funnel_of(client, index_name, "1") == {"id": "1", "state": "pending"}
        assert found_by(client, index_name, "sparse", "fox") == set()
        assert found_by(client, index_name, "dense", FOX) == set()
        assert found_by(client, index_name, "bm25", "dogs") == {"1"}
        sparse.down = False
        client.update(index=index_name, id="1", body={"doc": {"price": 1}})
        assert funnel_of(client, index_name, "1") == ready(DOG, key="1")


def test_documents_are_written_after_the_service_has_gone(
    client: OpenSearch, index_name: str
) -> None:
    with stand_in_service(client) as url:
        live = live_index(client, index_name, url=url)
        with_pipelines = live.__enter__()
    try:
        assert with_pipelines.ingest_of == {index_name: ""}
        lines = [
            line
            for number in range(MANY)
            for line in ({"index": {"_index": index_name, "_id": str(number)}}, {"text": FOX})
        ]
        assert [one["status"] for one in bulk(client, *lines)] == [201] * MANY
        funnels = [funnel_of(client, index_name, str(number)) for number in range(MANY)]
        assert funnels == [{"id": str(number), "state": "pending"} for number in range(MANY)]
    finally:
        live.__exit__(None, None, None)


def test_a_pending_document_keeps_a_field_of_the_users_own(
    client: OpenSearch, index: str, fake: FakeService
) -> None:
    FAULTS["refuses"](fake)
    own = {"steps": 3, "id": "x", "sparse_a": {"old": 1.0}}
    client.index(index=index, id="1", body={"text": FOX, "funnel": own})
    assert funnel_of(client, index, "1") == {"steps": 3, "id": "1", "state": "pending"}
    client.index(index=index, id="2", body={"text": FOX, "funnel": None})
    assert funnel_of(client, index, "2") == {"id": "2", "state": "pending"}
    assert "funnel" in str(refused(client, index, "3", {"text": FOX, "funnel": "mine"}))
