"""What the training scripts train on: the project's mixture of corpora, or one corpus of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.clicks import split_clicked, with_clicks
from opensearch_funnel.training.corpora import (
    Document,
    Judged,
    python_documents,
    read_documents,
    read_judged,
)
from opensearch_funnel.training.listwise import JudgedLists, SelfMadeLists, Source
from opensearch_funnel.training.looks import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What is trained on, and what is only looked at.

    Attributes:
        sources: name → where lists come from.
        looks: queries that are not trained on; none where there are too few to keep any.
        counts: what a run's log says of it.
    """

    sources: dict[str, Source]
    looks: list[Look]
    counts: Mapping[str, int] = field(default_factory=dict)


def training_data(datasets: Path, *, library: Path, measure_queries: int) -> TrainingData:
    """Read the corpora: train splits, pieces of documents, and looks at other queries.

    Never read: dev and test of ``msrd_movies`` for training, test of ``scifact``, ``cranfield``.

    Args:
        datasets: folder with ``msrd_movies`` and ``scifact``.
        library: Python sources whose docstrings give pieces.
        measure_queries: dev queries of a look; half as many held-out claims.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    movies = read_documents(datasets / "msrd_movies")
    papers = read_documents(datasets / "scifact")
    python = python_documents(library)
    of_movies, of_papers, of_python = (
        TextIndex([document.indexed for document in documents])
        for documents in (movies, papers, python)
    )
    films = read_judged(datasets / "msrd_movies", split="train")
    dev = read_judged(datasets / "msrd_movies", split="dev")
    claims = read_judged(datasets / "scifact", split="train")
    unseen = [claim for claim in claims if is_held_out(claim.query_id)]
    seen = [claim for claim in claims if not is_held_out(claim.query_id)]
    return TrainingData(
        sources={
            "msrd_movies": JudgedLists(movies, films, index=of_movies),
            "scifact": JudgedLists(papers, seen, index=of_papers),
            "pieces_movies": SelfMadeLists(movies, index=of_movies),
            "pieces_scifact": SelfMadeLists(papers, index=of_papers),
            "pieces_python": SelfMadeLists(python, index=of_python),
        },
        looks=[
            Look(
                "msrd_movies_dev",
                documents=movies,
                index=of_movies,
                judged=dev,
                queries=measure_queries,
            ),
            Look(
                "scifact_held_out",
                documents=papers,
                index=of_papers,
                judged=unseen,
                queries=(measure_queries + 1) // 2,
            ),
        ],
    )


def own_data(
    dataset: Path, *, measure_queries: int, clicked: Sequence[Judged] | None = None
) -> TrainingData:
    """Read one corpus with what people judged or clicked, and pieces of its documents.

    Queries of ``qrels/dev.tsv``, or the held-out fifth of train where there is none, are only
    looked at; so is a fifth of the clicked queries. A clicked query that is in any other split is
    not used.

    Args:
        dataset: a BEIR folder; without clicks it needs ``qrels/train.tsv``.
        measure_queries: queries of a look.
        clicked: what ``read_clicks`` gives.

    Raises:
        InputError: a file is missing or cannot be read, or there is nothing to train on.
    """
    splits = {path.stem for path in (dataset / "qrels").glob("*.tsv")}
    if "train" not in splits and clicked is None:
        raise InputError(
            f"{dataset / 'qrels' / 'train.tsv'} is missing: train on judgments there, or on clicks "
            "with --clicks FILE"
        )
    documents = read_documents(dataset)
    wanted = splits if clicked is not None else splits & {"train", "dev"}
    labelled = {split: read_judged(dataset, split=split) for split in sorted(wanted)}
    train = labelled.pop("train", [])
    if "dev" in labelled:
        seen, unseen = train, labelled["dev"]
    else:
        seen = [query for query in train if not is_held_out(query.query_id)]
        unseen = [query for query in train if is_held_out(query.query_id)]
    kept = [query for queries in (unseen, *labelled.values()) for query in queries]
    trained, looked_at = split_clicked(clicked or [], trained=_texts(seen), kept=_texts(kept))
    index = TextIndex([document.indexed for document in documents])
    looks = [
        Look(name, documents=documents, index=index, judged=queries, queries=measure_queries)
        for name, queries in (("not_trained_on", unseen), ("clicks_not_trained_on", looked_at))
        if queries
    ]
    return TrainingData(
        sources={
            "judged": JudgedLists(documents, with_clicks(seen, clicked=trained), index=index),
            "pieces": SelfMadeLists(documents, index=index),
        },
        looks=looks,
        counts={
            "judged_queries": len(seen),
            "clicked_queries": len(trained),
            "clicked_queries_looked_at": len(looked_at),
            "clicked_documents_unknown": _unknown(documents, clicked or []),
        },
    )


def _texts(queries: Sequence[Judged]) -> list[str]:
    return [query.text for query in queries]


def _unknown(documents: Sequence[Document], clicked: Sequence[Judged]) -> int:
    known = {document.doc_id for document in documents}
    named = {doc_id for query in clicked for doc_id in (*query.relevant, *query.rejected)}
    return len(named - known)
