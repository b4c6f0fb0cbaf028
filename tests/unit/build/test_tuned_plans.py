"""What tuning changes of a plan, and what it leaves as it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from opensearch_funnel.build.tuning import TuneRequest, parts_of, with_legs, with_rerank
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.core.plan import LEGS, FunnelPlan, Fusion, PerQuery, Reranking, Trust
from opensearch_funnel.evaluating.replaying.record import Floats
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.grid import fusion_grid
from opensearch_funnel.evaluating.tuning.search import Options, Tuning, tune

RULE = PerQuery(feature="digits", at_least=1, bm25=4.0, sparse=1.0, dense=1.0)
PLAN = FunnelPlan(alias="films", fusion=Fusion(technique="min_max"), per_query=RULE)
PRESENT = Setting.of(PLAN)
IDS = [f"q{number}" for number in range(100)]


def searched(other: Setting, *, gain: float) -> Tuning:
    """Search between the present setting and another one that gains so much on every query."""

    def measured(settings: object, queries: slice) -> Floats:
        rows = [0.5 + gain * (one == other) for one in settings]  # type: ignore[attr-defined]
        return np.array([[row] * len(IDS[queries]) for row in rows])

    return tune(measured, query_ids=IDS, settings=[other], present=PRESENT, options=Options())


def test_tuned_reranking_leaves_all_else_as_it_was() -> None:
    for gain, enabled in ((0.1, True), (-0.1, False)):
        found = searched(replace(PRESENT, rerank=Reranking(enabled=True, keep=6)), gain=gain)
        after = with_rerank(PLAN, found)
        assert replace(after, rerank=PLAN.rerank) == PLAN
        assert (after.rerank.enabled, after.rerank.decided) == (enabled, True)
        assert after.rerank.reason == found.evidence


def test_other_legs_take_the_place_of_a_rule_and_what_is_no_better_does_not() -> None:
    other = replace(PRESENT, weights=(1.0, 1.0, 1.0))
    kept = with_legs(PLAN, searched(other, gain=-0.1))
    assert kept == PLAN
    found = searched(other, gain=0.1)
    tuned = with_legs(PLAN, found)
    assert (tuned.sparse.weight, tuned.per_query, tuned.tuned) == (1.0, PerQuery(), found.evidence)


def judged(folder: Path, texts: Mapping[str, str], **splits: Sequence[str]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "t", "text": "x"}\n')
    lines = [json.dumps({"_id": query_id, "text": text}) for query_id, text in texts.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    for split, ids in splits.items():
        rows = ["query-id\tcorpus-id\tscore", *(f"{query_id}\td\t1" for query_id in ids)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_what_is_reported_is_not_tuned_on_under_whatever_split_it_is(tmp_path: Path) -> None:
    texts = {f"q{n}": f"query {n}" for n in range(60)} | {"t": "Query  7", "u": "other"}
    ids = [f"q{n}" for n in range(60)]
    folder = judged(tmp_path / "films", texts, train=ids, dev=ids[50:], test=["t", "u", "q3"])
    for_legs, for_rerank = parts_of(folder, TuneRequest())
    asked = [{query.query_id for query in part.queries} for part in (for_legs, for_rerank)]
    assert asked[0] == set(ids[:50]) - {"q3", "q7"}
    assert asked[1] == set(ids[50:])
    assert for_legs.what == "48 of 48 train queries"


def test_without_a_dev_split_what_no_training_touches_is_kept_for_reranking(
    tmp_path: Path,
) -> None:
    ids = [f"q{n}" for n in range(200)]
    folder = judged(tmp_path / "films", {i: i for i in ids}, train=ids)
    for_legs, for_rerank = parts_of(folder, TuneRequest(queries=100, rerank_queries=20))
    assert len(for_legs.queries) == 100
    assert len(for_rerank.queries) == 20
    assert not any(is_held_out(str(query.query_id)) for query in for_legs.queries)
    assert all(is_held_out(str(query.query_id)) for query in for_rerank.queries)
    with pytest.raises(InputError, match=r"no qrels/learn\.tsv to tune on"):
        parts_of(folder, TuneRequest(train="learn"))


def test_weights_that_were_tuned_stand_without_trust() -> None:
    measured = Trust(dense=0.5, decided=True, reason="…", index="u")
    plan = FunnelPlan(alias="films", fusion=Fusion(technique="auto"), trust=measured)
    other = next(one for one in fusion_grid(LEGS) if len(one.legs) == len(LEGS))
    chosen = with_legs(plan, searched(other, gain=0.1))
    assert chosen.fusion.technique != "auto"
    assert chosen.trust == Trust()
    assert chosen.weights == other.shares
    assert with_legs(plan, searched(other, gain=-0.1)) == plan
