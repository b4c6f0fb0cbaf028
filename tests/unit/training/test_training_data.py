"""What a run on one's own corpus is trained on, and what it only looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.corpora import Judged
from opensearch_funnel.training.data import TrainingData, own_data
from tests.unit.training.conftest import MakeCorpus


def clicked_on(numbers: Sequence[int]) -> list[Judged]:
    return [Judged(f"fox {n}", f"fox {n}", (f"d{n}",), ("d39",)) for n in numbers]


def trained_on(data: TrainingData) -> set[str]:
    """Every query that the judged lists can draw."""
    rng = np.random.default_rng(5)
    return {data.sources["judged"].draw(rng, size=3).query for _ in range(2000)}


def looked_at(data: TrainingData) -> dict[str, set[str]]:
    """The queries of each look: what it scores names them."""
    found: dict[str, set[str]] = {}
    for look in data.looks:

        def score(pairs: list[tuple[str, str]], name: str = look.name) -> list[float]:
            found.setdefault(name, set()).update(query for query, _ in pairs)
            return [0.0] * len(pairs)

        look.measure(score)
    return found


def texts(numbers: Sequence[int]) -> set[str]:
    return {f"fox {n}" for n in numbers}


def test_judgments_alone_are_divided_by_dev_or_by_a_fifth(make_corpus: MakeCorpus) -> None:
    with_dev = own_data(make_corpus("a", train=range(30), dev=range(30, 40)), measure_queries=40)
    assert trained_on(with_dev) == texts(range(30))
    assert looked_at(with_dev) == {"not_trained_on": texts(range(30, 40))}
    alone = own_data(make_corpus("b", train=range(40)), measure_queries=40)
    away = [n for n in range(40) if is_held_out(f"q{n}")]
    assert away
    assert looked_at(alone) == {"not_trained_on": texts(away)}
    assert trained_on(alone) == texts([n for n in range(40) if n not in away])


def test_clicks_alone_need_no_judgments(make_corpus: MakeCorpus) -> None:
    data = own_data(make_corpus(), measure_queries=40, clicked=clicked_on(range(39)))
    away = [n for n in range(39) if is_held_out(f"fox {n}")]
    assert away
    assert looked_at(data) == {"clicks_not_trained_on": texts(away)}
    assert trained_on(data) == texts([n for n in range(39) if n not in away])
    assert data.counts == {
        "judged_queries": 0,
        "clicked_queries": 39 - len(away),
        "clicked_queries_looked_at": len(away),
        "clicked_documents_unknown": 0,
    }


def test_with_both_no_query_is_trained_on_and_looked_at_and_test_is_neither(
    make_corpus: MakeCorpus,
) -> None:
    folder = make_corpus(train=range(10), dev=range(10, 15), test=range(15, 20))
    data = own_data(folder, measure_queries=40, clicked=clicked_on(range(39)))
    away = [n for n in range(20, 39) if is_held_out(f"fox {n}")]
    assert away
    assert looked_at(data) == {
        "not_trained_on": texts(range(10, 15)),
        "clicks_not_trained_on": texts(away),
    }
    others = [n for n in range(20, 39) if n not in away]
    assert trained_on(data) == texts([*range(10), *others])


def test_documents_that_the_corpus_lacks_are_counted(make_corpus: MakeCorpus) -> None:
    gone = Judged("old film", "old film", ("d1", "d77"), ("d78",))
    data = own_data(make_corpus(), measure_queries=9, clicked=[*clicked_on(range(3)), gone])
    assert data.counts["clicked_documents_unknown"] == 2


def test_too_few_queries_to_keep_any_make_no_look(make_corpus: MakeCorpus) -> None:
    here = [n for n in range(39) if not is_held_out(f"fox {n}")][:2]
    data = own_data(make_corpus(), measure_queries=40, clicked=clicked_on(here))
    assert data.looks == []
    assert trained_on(data) == texts(here)


def test_nothing_to_train_on_is_said(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.tsv is missing: .* --clicks FILE"):
        own_data(make_corpus(), measure_queries=9)
    with pytest.raises(InputError, match=r"corpus\.jsonl is missing"):
        own_data(tmp_path / "nowhere", measure_queries=9, clicked=clicked_on([1]))
    unknown = [Judged("fox", "fox", ("elsewhere",), ())]
    with pytest.raises(InputError, match="no query has a relevant document in the corpus"):
        own_data(make_corpus("other"), measure_queries=9, clicked=unknown)
