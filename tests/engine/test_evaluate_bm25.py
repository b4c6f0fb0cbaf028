"""``funnel evaluate`` with BM25 on a real node."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import IndexMissingError, InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk import bulk_index
from opensearch_funnel.engine.indices import (
    EncodedBy,
    Slot,
    count_documents,
    create_index,
    index_body,
    index_exists,
    index_uuid,
    read_funnel_meta,
    write_funnel_meta,
)
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.evaluating.indexing import (
    Encoding,
    ensure_evaluation_index,
    evaluation_index_name,
)
from opensearch_funnel.evaluating.systems import bm25_system, run_system

pytestmark = pytest.mark.engine

FILMS = {
    "1": ("Heat", "A thief and a detective in Los Angeles."),
    "2": ("Big Fish", "A son learns of his father's tall tales."),
    "3": ("The Fish Thief", "Somebody stole the fishes."),
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / f"films-{tmp_path.name}"
    (folder / "qrels").mkdir(parents=True)
    lines = [{"_id": i, "title": title, "text": text} for i, (title, text) in FILMS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    queries = [
        {"_id": "q1", "text": "fish"},
        {"_id": "q2", "text": "fishes ${parameters.source} \"'\\ 🐟"},
        {"_id": "q3", "text": "none"},
    ]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\t3\t2\nq1\t2\t1\nq2\t3\t1\nq3\t1\t0\n"
    )
    return folder


def _evaluate(*arguments: str, url: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    command = ["evaluate", *arguments, "--systems", "bm25", "--url", url, "--output", "json"]
    assert main(command) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_rankings_are_written_and_compared_with_the_system_itself(
    films: Path,
    client: OpenSearch,
    node_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "runs"
    measured = _evaluate(str(films), "--runs", str(runs), url=node_url, capsys=capsys)
    assert [path.name for path in runs.iterdir()] == ["bm25.run"]
    told = ["--dataset", str(films), "--url", node_url, "--output", "json"]
    assert main(["compare", str(runs / "bm25.run"), "bm25", *told]) == 0
    plain = json.loads(capsys.readouterr().out)
    written, live = plain["systems"].values()
    assert written == live
    assert live["nDCG@10"] == measured["systems"]["bm25"]["nDCG@10"]
    [pair] = plain["differences"].values()
    assert pair["nDCG@10"]["p"] == 1.0
    assert plain["run_findings"] == {str(runs / "bm25.run"): []}
    client.indices.delete(index=measured["index"])


def test_what_is_odd_about_a_data_set_is_counted(
    films: Path, client: OpenSearch, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (films / "queries.jsonl").open("a") as queries:
        queries.write('\n{"_id": "q9", "text": "nobody judged this"}')
    with (films / "qrels" / "test.tsv").open("a") as qrels:
        qrels.write("q1\tgone\t3.000\nq2\tlost\t-1\nq1\t3\t2\n")
    command = ["evaluate", str(films), "--systems", "bm25", "--url", node_url]
    assert main([*command, "--output", "json"]) == 0
    printed = capsys.readouterr()
    told = {
        one["kind"]: (one["count"], one["fault"]) for one in json.loads(printed.out)["findings"]
    }
    assert told == {
        "decimal_grade": (1, True),
        "negative_grade": (1, False),
        "nothing_relevant": (1, False),
        "repeated": (1, True),
        "unjudged": (1, True),
        "unknown_document": (2, True),
    }
    warnings = [line for line in printed.err.splitlines() if line.startswith("warning: ")]
    assert [line.split(": ")[1] for line in warnings] == [
        "1 x whole grades written with decimals, read as whole numbers",
        "1 x judgments given twice, kept once",
        "1 x queries without judgments",
        "2 x judgments for documents that the corpus does not have",
    ]
    assert warnings[0].endswith(": line 6: '3.000' for document 'gone' of query 'q1'")
    assert warnings[3].endswith("document 'gone' of query 'q1'; document 'lost' of query 'q2'")
    client.indices.delete(index=evaluation_index_name(read_dataset(films)))


def test_a_data_set_is_loaded_once_and_measured(
    films: Path, client: OpenSearch, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _evaluate(str(films), url=node_url, capsys=capsys)
    assert (result["queries"], result["skipped_queries"], result["documents"]) == (2, 1, 3)
    bm25 = result["systems"]["bm25"]
    assert bm25["R@100"] == 1.0
    assert bm25["degraded"] == 0
    assert bm25["latency_ms"]["p95"] >= bm25["latency_ms"]["p50"] > 0
    uuid = index_uuid(client, index=result["index"])
    again = _evaluate(str(films), url=node_url, capsys=capsys)
    assert index_uuid(client, index=again["index"]) == uuid
    assert again["systems"]["bm25"]["nDCG@10"] == bm25["nDCG@10"]
    client.indices.delete(index=result["index"])


def test_an_index_without_the_mark_of_a_finished_one_is_loaded_anew(
    films: Path, client: OpenSearch
) -> None:
    dataset = read_dataset(films)
    name = evaluation_index_name(dataset)
    create_index(client, index=name, body=index_body())
    client.index(index=name, id="half", body={"title": "left by a killed load"})
    made = ensure_evaluation_index(client, dataset)
    assert (made.name, made.documents, made.loaded) == (name, 3, True)
    assert count_documents(client, index=name) == 3
    assert not ensure_evaluation_index(client, dataset).loaded

    client.delete(index=name, id="2", params={"refresh": "true"})
    assert ensure_evaluation_index(client, dataset).loaded
    meta = read_funnel_meta(client, index=name)
    assert meta == {"evaluation": {"dataset": dataset.name, "documents": 3}}
    write_funnel_meta(client, index=name, meta={})
    assert ensure_evaluation_index(client, dataset).loaded
    client.indices.delete(index=name)


def test_an_encoded_index_goes_on_where_a_killed_load_ended(
    films: Path, client: OpenSearch
) -> None:
    by = EncodedBy(model="m", fingerprint="f")
    slot = Slot(sparse=by, dense=by, dimension=2)
    encoded: list[str] = []

    def encode(documents: Iterable[Document], *, stop_at: str = "") -> Iterator[Document]:
        for document in documents:
            if document.doc_id == stop_at:
                raise KeyboardInterrupt
            encoded.append(document.doc_id)
            made = {"id": document.doc_id, "state": "ready", "dense_a": [0.0, 1.0]}
            yield Document(document.doc_id, {**document.source, "funnel": made})

    dataset = read_dataset(films)
    killed = Encoding(slot=slot, fields=["title"], encode=partial(encode, stop_at="3"))
    with pytest.raises(KeyboardInterrupt):
        ensure_evaluation_index(client, dataset, encoding=killed)
    name = evaluation_index_name(dataset, encoding=killed)
    # What was in flight at Ctrl-C may or may not have been written: here it is.
    bulk_index(client, encode(islice(dataset.documents(), 2)), index=name)
    encoded.clear()
    whole = Encoding(slot=slot, fields=["title"], encode=encode)
    made = ensure_evaluation_index(client, dataset, encoding=whole)
    assert (made.name, made.documents, made.loaded) == (name, 3, True)
    assert encoded == ["3"]
    assert not ensure_evaluation_index(client, dataset, encoding=whole).loaded
    client.indices.delete(index=name)


def test_a_broken_corpus_writes_nothing(films: Path, client: OpenSearch) -> None:
    with (films / "corpus.jsonl").open("a") as corpus:
        corpus.write('\n{"_id": "4"}')
    dataset = read_dataset(films)
    with pytest.raises(InputError, match=r"corpus\.jsonl:4: no 'text'"):
        ensure_evaluation_index(client, dataset)
    assert not index_exists(client, index=evaluation_index_name(dataset))


def test_an_unknown_index_is_named_with_the_query(client: OpenSearch, index_name: str) -> None:
    system = bm25_system(client, index=index_name)
    queries = [Query(text="fish", query_id="q1")]
    with pytest.raises(
        IndexMissingError, match=rf"bm25 failed at query 'q1': no such index \[{index_name}\]"
    ):
        run_system(system, queries, size=10)


def test_the_table_names_measures_and_counts(
    films: Path, client: OpenSearch, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(films), "--measures", "MRR@10,P@1", "--systems", "bm25"]
    assert main([*command, "--url", node_url]) == 0
    shown = capsys.readouterr().out
    assert "2 queries, 1 skipped, 3 documents" in shown
    assert all(name in shown for name in ("MRR@10", "P@1", "p50 ms", "p95 ms", "degraded"))
    client.indices.delete(index=evaluation_index_name(read_dataset(films)))


def test_bm25_goes_past_a_default_pipeline(client: OpenSearch, index_name: str) -> None:
    create_index(client, index=index_name, body=index_body())
    for doc_id, (title, text) in FILMS.items():
        client.index(index=index_name, id=doc_id, body={"title": title, "text": text})
    client.indices.refresh(index=index_name)
    one = {"request_processors": [{"filter_query": {"query": {"ids": {"values": ["2"]}}}}]}
    client.transport.perform_request("PUT", f"/_search/pipeline/{index_name}", body=one)
    settings = {"index.search.default_pipeline": index_name}
    client.indices.put_settings(index=index_name, body=settings)
    plain = {"query": {"match": {"title": "fish"}}}
    assert client.search(index=index_name, body=plain)["hits"]["total"]["value"] == 1
    found = bm25_system(client, index=index_name).search(Query(text="fish"), 10)
    assert set(found.doc_ids) == {"2", "3"}
    client.indices.put_settings(index=index_name, body={"index.search.default_pipeline": "_none"})
    client.transport.perform_request("DELETE", f"/_search/pipeline/{index_name}")


@pytest.mark.datasets
@pytest.mark.parametrize(
    ("name", "bounds"),
    [("scifact", (0.66, 0.69)), ("cranfield", (0.35, 0.37)), ("msrd_movies", (0.76, 0.78))],
)
def test_bm25_reaches_what_it_is_known_to_reach(
    datasets: Path,
    node_url: str,
    name: str,
    bounds: tuple[float, float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = _evaluate(str(datasets / name), url=node_url, capsys=capsys)
    low, high = bounds
    assert low <= result["systems"]["bm25"]["nDCG@10"] <= high
