"""The reference that needs no tuning: which plan it is, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from opensearch_funnel.build.evaluation_systems import SYSTEMS, Request, SystemName
from opensearch_funnel.cli import evaluate
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking, SparseLeg
from opensearch_funnel.evaluating.funnel_systems import rrf_reference

TUNED = FunnelPlan(
    alias="films",
    depth=70,
    sparse=SparseLeg(weight=0.1, query_terms=9),
    fusion=Fusion(technique="rrf", combination="harmonic_mean", rank_constant=3),
    rerank=Reranking(enabled=True),
)


def test_what_is_tuned_is_put_back_and_all_else_stays() -> None:
    reference = rrf_reference(TUNED)
    assert reference.fusion == Fusion(technique="rrf", rank_constant=60)
    assert len(set(reference.weights)) == 1
    assert not reference.rerank.enabled
    tuned = {"fusion", "rerank", "bm25", "sparse", "dense"}
    before, after = TUNED.to_dict(), reference.to_dict()
    assert {name for name in before if before[name] != after[name]} <= tuned
    assert replace(reference.sparse, weight=0.1) == TUNED.sparse


def test_a_leg_that_the_plan_leaves_out_stays_out() -> None:
    assert rrf_reference(TUNED.with_legs("sparse", "dense")).active_legs == ("sparse", "dense")


def test_a_plan_that_is_the_reference_already_is_measured_all_the_same() -> None:
    assert rrf_reference(rrf_reference(TUNED)) == rrf_reference(TUNED)
    assert "rrf" in Request().systems_of(rrf_reference(TUNED))


def test_one_leg_alone_has_no_reference() -> None:
    alone = TUNED.with_legs("sparse")
    assert Request().systems_of(TUNED) == SYSTEMS
    assert Request().systems_of(alone) == tuple(name for name in SYSTEMS if name != "rrf")
    assert Request(systems=("bm25", "hybrid")).systems_of(alone) == ("bm25", "hybrid")
    for plan_of in (Request(systems=SYSTEMS).systems_of, rrf_reference):
        with pytest.raises(InputError, match="has sparse alone: give another leg a weight"):
            plan_of(alone)


def test_the_command_knows_every_system() -> None:
    assert get_args(SystemName) == SYSTEMS == evaluate._SYSTEMS  # noqa: SLF001 - spared an import
    assert SYSTEMS.index("dense") + 1 == SYSTEMS.index("rrf") == SYSTEMS.index("hybrid") - 1
