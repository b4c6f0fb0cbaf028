"""``verify``: finds whatever is wrong with a target, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.engine.scanning import read_page
from opensearch_funnel.migrating.migration import origin_of
from opensearch_funnel.migrating.verifying import (
    ProbeQuery,
    VerifyReport,
    Wanted,
    last_proof,
    read_queries,
)
from opensearch_funnel.settings import Settings
from tests.engine.migrations import fill, film, films
from tests.engine.switching import Migrated, migrated, writer

pytestmark = pytest.mark.engine

DOCUMENTS = 120


@pytest.fixture
def copy(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    """An index of two shards, some documents with a routing, and its copy."""
    with migrated(
        client,
        engine_settings,
        index_name,
        letters=tmp_path,
        documents=DOCUMENTS,
        copied=False,
    ) as made:
        for number in range(200, 210):
            client.index(
                index=made.source, id=f"r{number}", body=film(number), params={"routing": "a"}
            )
        made.run()
        yield made


def test_a_copy_is_proven_and_the_proof_is_kept(copy: Migrated) -> None:
    report = copy.verify()
    assert report.passed, report.to_dict()
    assert (report.documents, report.in_motion) == (DOCUMENTS + 10, 0)
    assert [check.name for check in report.checks] == [
        "copied",
        "counts",
        "documents",
        "mapping",
        "settings",
        "coverage",
        "searchable",
    ]
    proof = last_proof(copy.migration)
    assert proof is not None
    assert proof.passed
    assert proof.bounds == report.bounds
    assert sum(bound + 1 for bound in proof.bounds.values()) == DOCUMENTS + 10


def _rewrite(made: Migrated, doc_id: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a copy anew under the version that it has: nothing but its content tells."""
    found = made.client.get(index=made.target, id=doc_id)
    change(found["_source"])
    made.client.index(
        index=made.target,
        id=doc_id,
        body=found["_source"],
        params={
            "version": str(found["_version"]),
            "version_type": "external_gte",
            "pipeline": "_none",
        },
    )


def _faults(report: VerifyReport, check: str) -> dict[str, list[str]]:
    (found,) = [one for one in report.checks if one.name == check]
    assert not found.passed, report.to_dict()
    faults: dict[str, dict[str, Any]] = found.details["faults"]
    return {kind: sorted(fault["ids"]) for kind, fault in faults.items()}


def test_a_dropped_document_is_missing(copy: Migrated) -> None:
    copy.client.delete(index=copy.target, id="d7")
    report = copy.verify()
    assert _faults(report, "documents") == {"missing in the target": ["d7"]}
    assert "counts" in report.failed
    assert "d7" in report.to_dict()["checks"][2]["summary"]


def test_a_changed_field_is_found(copy: Migrated) -> None:
    _rewrite(copy, "d7", lambda source: source.update(price=7.5))
    assert _faults(copy.verify(), "documents") == {"different _source": ["d7"]}


def test_swapped_sources_are_found(copy: Migrated) -> None:
    one = copy.client.get(index=copy.target, id="d7")["_source"]
    other = copy.client.get(index=copy.target, id="d8")["_source"]
    _rewrite(copy, "d7", lambda source: source.update(other))
    _rewrite(copy, "d8", lambda source: source.update(one))
    report = copy.verify()
    assert _faults(report, "documents")["different _source"] == ["d7", "d8"]
    assert _faults(report, "coverage") == {"another document's key": ["d7", "d8"]}


def test_emptied_vectors_are_found(copy: Migrated) -> None:
    # 1 % of the documents, and one more.
    for doc_id in ("d3", "d90"):
        _rewrite(copy, doc_id, lambda source: source["funnel"].pop("dense_a"))
    report = copy.verify()
    assert _faults(report, "coverage") == {"without a vector": ["d3", "d90"]}
    assert _faults(report, "searchable") == {"not found in the dense field": ["d3", "d90"]}
    assert report.failed == ["coverage", "searchable"]


def test_an_emptied_sparse_field_is_found(copy: Migrated) -> None:
    _rewrite(copy, "d7", lambda source: source["funnel"].update(sparse_a={}))
    assert _faults(copy.verify(), "coverage") == {"without sparse terms": ["d7"]}


def test_a_stale_hash_and_a_wrong_fingerprint_are_found(copy: Migrated) -> None:
    _rewrite(copy, "d7", lambda source: source["funnel"].update(hash="0" * 16))
    _rewrite(copy, "d8", lambda source: source["funnel"].update(model=["f1", "f3"]))
    _rewrite(copy, "d9", lambda source: source["funnel"].update(state="pending"))
    report = copy.verify()
    assert _faults(report, "coverage") == {
        "hash of another text": ["d7"],
        "another model's fingerprint": ["d8"],
        "not encoded yet": ["d9"],
    }
    assert report.failed == ["coverage"]


def test_a_wrong_origin_and_a_wrong_version_are_found(copy: Migrated) -> None:
    behind = origin_of(shard=0, seq_no=1_000_000)
    _rewrite(copy, "d7", lambda source: source["funnel"].update(origin=behind))
    found = copy.client.get(index=copy.target, id="d8")
    # What somebody else writes has another version, even where it says the same.
    copy.client.index(index=copy.target, id="d8", body=found["_source"])
    report = copy.verify()
    assert "d8" in _faults(report, "documents")["wrong version or origin"]
    assert "d7" in _faults(report, "documents")["wrong version or origin"]


def test_extra_documents_are_found(copy: Migrated) -> None:
    copy.client.index(index=copy.target, id="mine", body={"title": "mine"})
    twin = copy.client.get(index=copy.target, id="d7")["_source"]
    copy.client.index(index=copy.target, id="twin", body=twin)
    assert _faults(copy.verify(), "documents") == {"extra in the target": ["mine", "twin"]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"properties": {"mine": {"type": "keyword"}}}, "properties.mine.type"),
        ({"dynamic": "false"}, "dynamic"),
        (
            {"properties": {"title": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}},
            "properties.title.fields.raw.type",
        ),
    ],
)
def test_an_altered_mapping_is_found(copy: Migrated, change: dict[str, Any], named: str) -> None:
    copy.client.indices.put_mapping(index=copy.target, body=change)
    report = copy.verify()
    assert report.failed == ["mapping"]
    assert named in report.to_dict()["checks"][3]["summary"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("index.max_result_window", 5000), ("index.blocks.metadata", "false")],
)
def test_a_changed_setting_is_found(copy: Migrated, name: str, value: Any) -> None:
    copy.client.indices.put_settings(index=copy.target, body={name: value})
    report = copy.verify()
    assert report.failed == ["settings"]
    assert name in report.to_dict()["checks"][4]["summary"]


def test_a_setting_that_the_source_got_since_is_asked_for(copy: Migrated) -> None:
    change = {"index.max_result_window": 20_000}
    copy.client.indices.put_settings(index=copy.source, body=change)
    report = copy.verify()
    assert report.failed == ["settings"]
    assert "set it on the target, too" in report.to_dict()["checks"][4]["summary"]
    copy.client.indices.put_settings(index=copy.target, body=change)
    assert copy.verify().passed


def test_a_mapping_that_grew_with_the_source_is_right(copy: Migrated) -> None:
    copy.client.index(index=copy.source, id="new", body={"title": "new", "colour": "red"})
    copy.run()
    assert copy.verify().passed


def test_a_page_in_the_order_of_a_field_is_whole_where_documents_were_deleted(
    client: OpenSearch, index_name: str
) -> None:
    """Without exact totals the engine answers such a range with 439 of 500 (3.6.0)."""
    mappings = {"properties": {"n": {"type": "long"}}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    client.indices.create(index=index_name, body={"settings": settings, "mappings": mappings})
    fill(client, index_name, ((str(n), {"n": n}) for n in range(2000)))
    client.indices.refresh(index=index_name)
    fill(client, index_name, ((str(n), {"n": 10_000 + n}) for n in range(0, 2000, 7)))
    client.indices.refresh(index=index_name)
    right = [n for n in range(2000) if n % 7][:500]
    page = read_page(client, index_name, field="n", after=-1, upto=1999, size=501)
    assert [document.place for document in page] == right


def test_documents_that_were_copied_again_are_all_met(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(
        client, engine_settings, index_name, letters=tmp_path, documents=900, shards=1
    ) as made:
        films(client, made.source, range(0, 900, 4), edition=1)
        made.run()
        report = made.verify()
        assert report.passed, report.to_dict()
        counts = report.checks[1].details
        assert (counts["source"], counts["target"], counts["in_motion"]) == (900, 900, 0)


def test_what_changes_behind_the_bounds_is_in_motion_and_not_judged(copy: Migrated) -> None:
    films(copy.client, copy.source, range(20), edition=1)
    films(copy.client, copy.source, range(300, 305))
    for number in range(20, 30):
        copy.client.delete(index=copy.source, id=f"d{number}")
    report = copy.verify()
    assert report.passed, report.to_dict()
    assert report.in_motion == 30
    assert report.documents == DOCUMENTS + 10 - 30
    copy.run()
    report = copy.verify()
    assert report.passed
    assert (report.documents, report.in_motion) == (DOCUMENTS + 10 + 5 - 10, 0)


def test_a_copy_of_nothing_is_no_delete_of_somebody(copy: Migrated) -> None:
    # One document was deleted behind the bounds; two copies have no document any more.
    ghost = copy.client.get(index=copy.target, id="d7")["_source"]
    copy.client.delete(index=copy.source, id="d7")
    copy.client.index(index=copy.target, id="ghost", body=ghost)
    assert _faults(copy.verify(), "documents") == {"extra in the target": ["d7", "ghost"]}


def test_a_writer_at_work_does_not_fail_it(copy: Migrated, engine_settings: Settings) -> None:
    with writer(engine_settings, copy.alias, begin=DOCUMENTS, pause_s=0.001) as written:
        assert written.wrote.wait(60)
        reports = [copy.verify() for _ in range(3)]
    assert [report.failed for report in reports] == [[], [], []]
    copy.run()
    report = copy.verify()
    assert report.passed
    assert report.documents == len(written.documents()) + 10


def test_queries_are_compared_and_judged(copy: Migrated, tmp_path: Path) -> None:
    path = tmp_path / "queries.ndjson"
    path.write_text(
        '{"_id": "q1", "text": "n7"}\n{"query": {"match": {"text": "w3"}}}\n\nfilm 12\n'
    )
    queries = read_queries(path, text_fields=copy.migration.text_fields)
    report = copy.verify(queries=queries, qrels={"q1": {"d7": 1}})
    assert report.passed, report.to_dict()
    rankings, judgments = report.checks[-2:]
    assert rankings.details["overlap_at_10"] == 1.0
    assert rankings.details["rank_biased_overlap"] > 0.9
    assert judgments.details["ndcg_at_10_source"] == judgments.details["ndcg_at_10_target"] == 1.0


def test_other_answers_fail_it(copy: Migrated) -> None:
    for number in range(DOCUMENTS // 2):
        _rewrite(copy, f"d{number}", lambda source: source.update(text="gone"))
    queries = [
        ProbeQuery(query_id=f"q{n}", body={"query": {"match": {"text": f"n{n}"}}})
        for n in range(20)
    ]
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(20)}
    report = copy.verify(queries=queries, qrels=qrels, wanted=Wanted(overlap=0.9))
    assert {"rankings", "judgments"} <= set(report.failed)
    rankings = report.checks[-2]
    assert rankings.details["overlap_at_10"] == 0.0
    assert "q0" in rankings.details["least_alike"]


def test_a_query_that_the_engine_refuses_is_the_users(copy: Migrated) -> None:
    query = ProbeQuery(query_id="q1", body={"query": {"no_such": {}}})
    with pytest.raises(InputError, match="query 'q1' cannot be compared"):
        copy.verify(queries=[query])


def test_an_unfinished_copy_is_no_proof(copy: Migrated) -> None:
    slices = copy.client.search(
        index=".funnel-state-1",
        body={"query": {"term": {"kind": f"slice:{copy.target}"}}},
    )["hits"]["hits"]
    (first, *_) = sorted(slices, key=lambda hit: str(hit["_id"]))
    first["_source"]["slice"]["done"] -= 10
    copy.client.index(
        index=".funnel-state-1", id=first["_id"], body=first["_source"], params={"refresh": "true"}
    )
    report = copy.verify()
    assert report.failed == ["copied"]
    assert "10 operations are not copied yet" in report.checks[0].summary


def test_before_the_copy_there_is_nothing_to_verify(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with (
        migrated(
            client, engine_settings, index_name, letters=tmp_path, documents=3, copied=False
        ) as made,
        pytest.raises(InputError, match=r"nothing of .* was copied yet: funnel migrate run"),
    ):
        made.verify()


def test_nested_documents_are_no_documents_of_their_own(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    nested = {"cast": {"type": "nested", "properties": {"name": {"type": "text"}}}}
    with migrated(
        client,
        engine_settings,
        index_name,
        letters=tmp_path,
        documents=5,
        properties=nested,
        copied=False,
    ) as made:
        body = {**film(9), "cast": [{"name": "a"}, {"name": "b"}]}
        client.index(index=made.source, id="n", body=body)
        refresh_index(client, index=made.source)
        made.run()
        report = made.verify()
        assert report.passed, report.to_dict()
        assert report.documents == 6
