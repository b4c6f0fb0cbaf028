"""Tune a plan on judged queries: its legs on some, its reranking on others, without searching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.recording import RecordedSet, recorded_set
from opensearch_funnel.build.timing import timed_legs, timed_pairs
from opensearch_funnel.build.trusting import is_unmeasured, with_trust_of
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.core.plan import LEGS, FunnelPlan, PerQuery
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset
from opensearch_funnel.evaluating.formats.findings import Finding
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.costs import LatencyModel
from opensearch_funnel.evaluating.tuning.grid import (
    DEPTHS,
    QUERY_TERMS_TRIED,
    fusion_grid,
    rerank_grid,
)
from opensearch_funnel.evaluating.tuning.per_query import KindTuning, tune_kinds, with_rule
from opensearch_funnel.evaluating.tuning.search import Options, Tuning, check_enough, shuffled, tune

_REPORTED = "test"
_ROOM = 0.7
"""The share of a deadline that a median may take: some queries take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What to tune on.

    Attributes:
        train: the split that the legs are tuned on.
        dev: the one for reranking; where the set has none, the fifth of ``train`` that no
            training touches, which is then left out of the other.
        queries: at most so many of ``train``.
        rerank_queries: at most so many for reranking, which reads many texts a query.
        folds: of both.
        limit_ms: what one query may take, by the times of its parts.
        rerank: whether reranking is tuned.
        seed: which queries are drawn.
    """

    train: str = "train"
    dev: str = "dev"
    queries: int = 2000
    rerank_queries: int = 300
    folds: int = 5
    limit_ms: float | None = None
    rerank: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if _REPORTED in (self.train, self.dev):
            raise InputError(
                "the split test is for reporting: what is tuned on it looks better there than it "
                "is; put part of its judgments into qrels/train.tsv and remove them from it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning found.

    Attributes:
        before: the plan as it was given.
        after: the plan with what was chosen; the same where nothing is surely better.
        legs: the search for weights, fusion, depth and query terms.
        kinds: the search for queries that gain from weights of their own; ``None`` where the plan
            has such a rule and keeps it, and where it weighs each query by itself (``auto``).
        rerank: the search for reranking; ``None`` where that was not tuned.
        tried_on: what the queries of ``legs`` and of ``rerank`` are.
        findings: what is odd about the judgments of both.
        latency: what its parts took.
        seconds: of all of it.
    """

    before: FunnelPlan
    after: FunnelPlan
    legs: Tuning
    kinds: KindTuning | None
    rerank: Tuning | None
    tried_on: tuple[str, str]
    findings: tuple[Finding, ...]
    latency: LatencyModel
    seconds: float


def tune_plan(bench: Bench, folder: Path, plan: FunnelPlan, request: TuneRequest) -> Tuned:
    """Choose legs, fusion and depth on train queries, and then reranking on others.

    Args:
        bench: where the index is.
        folder: the data set, in the BEIR layout.
        plan: what is used now.
        request: what to tune on.

    Raises:
        InputError: there are too few queries, or every plan takes longer than allowed.
    """
    begun = perf_counter()
    if request.limit_ms is not None and plan.rerank.enabled and not request.rerank:
        raise InputError(
            "the plan reranks, which takes most of its time: let reranking be tuned within the "
            "limit, or turn it off in the plan"
        )
    for_legs, for_rerank = parts_of(folder, request)
    for part in (for_legs, for_rerank) if request.rerank else (for_legs,):
        check_enough(len(part.queries), folds=request.folds)
    depths = [*(depth for depth in DEPTHS if depth < plan.depth), plan.depth]
    terms = tuple(dict.fromkeys((plan.sparse.query_terms, *QUERY_TERMS_TRIED)))
    options = Options(folds=request.folds, limit=request.limit_ms, progress=bench.progress)
    with recorded_set(
        bench, for_legs.dataset, plan, queries=for_legs.queries, query_terms=terms
    ) as recorded:
        latency = timed_legs(
            bench.client, recorded, depths=depths, query_terms=terms, progress=bench.progress
        )
        # What auto does on this index is what a proposal has to be better than.
        measured = bench.trusted(
            recorded.plan.with_legs(*plan.active_legs),
            index=recorded.plan.alias,
            models=recorded.models,
        )
        present_plan = with_trust_of(plan, measured)
        present = replace(Setting.of(present_plan), rerank=None)
        grid = fusion_grid(LEGS, depths=depths, query_terms=terms)
        options = replace(options, cost=latency)
        rule = plan.per_query
        legs = _searched(recorded, for_legs, grid, present=present, options=options, rule=rule)
        after = with_legs(present_plan, legs)
        kinds = None
        by_auto = after.fusion.by_service or after.trust.thin
        if after.per_query.feature == "none" and not by_auto:
            kinds = _kinds(recorded, for_legs, Setting.of(after), folds=request.folds)
            after = replace(after, per_query=kinds.proposed or PerQuery())
    rerank = None
    rerankers = [name for name in (plan.rerank.first_model, plan.rerank.model) if name]
    if request.rerank:
        with recorded_set(
            bench, for_rerank.dataset, after, queries=for_rerank.queries, rerankers=rerankers
        ) as recorded:
            pairs = timed_pairs(recorded, progress=bench.progress)
            latency = replace(latency, pair_ms=pairs)
            # Weights of one kind of queries are left out: they move few hits into what is reranked.
            present = Setting.of(after)
            grid = [s for s in rerank_grid(present, after.rerank) if _in_time(s, latency, plan)]
            options = replace(options, cost=latency)
            rerank = _searched(recorded, for_rerank, grid, present=present, options=options)
        after = with_rerank(after, rerank)
    if is_unmeasured(plan) and after.trust.decided:
        # What the evaluation index says of the legs is no part of what a person writes.
        after = with_trust_of(after, plan)
    # Both parts are of one folder, and of one corpus.
    ids = for_legs.dataset.doc_ids()
    return Tuned(
        before=plan,
        after=after,
        legs=legs,
        kinds=kinds,
        rerank=rerank,
        tried_on=(for_legs.what, for_rerank.what),
        findings=tuple(
            dict.fromkeys(
                finding for part in (for_legs, for_rerank) for finding in part.dataset.oddities(ids)
            )
        ),
        latency=latency,
        seconds=perf_counter() - begun,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Queries to tune on, in an order without a pattern, and what they are."""

    dataset: Dataset
    queries: Sequence[Query]
    what: str


def parts_of(folder: Path, request: TuneRequest) -> tuple[Part, Part]:
    """Choose the queries for the legs, and those for reranking.

    No query is in both, and none is in the split that is reported, by its id or its text.

    Args:
        folder: the data set, in the BEIR layout.
        request: which splits, and how many of their queries.

    Raises:
        InputError: there is no such split.
    """
    if folder.is_dir() and not (folder / "qrels" / f"{request.train}.tsv").is_file():
        raise InputError(
            f"{folder} has no qrels/{request.train}.tsv to tune on: name another split (--train), "
            "or move part of the judgments there; the split that is reported must not be tuned on"
        )
    train = read_dataset(folder, split=request.train)
    reported = read_dataset(folder, split=_REPORTED).queries if train.has_split(_REPORTED) else ()
    shown = {key for query in reported for key in _keys(query)}
    if train.has_split(request.dev):
        dev = read_dataset(folder, split=request.dev)
        ids = {query.query_id for query in dev.queries}
        for_legs = [query for query in train.queries if query.query_id not in ids]
        for_rerank = list(dev.queries)
        what = request.dev
    else:
        dev = train
        for_legs = [query for query in train.queries if not is_held_out(query.query_id)]
        for_rerank = [query for query in train.queries if is_held_out(query.query_id)]
        what = f"held-out {request.train}"
    for_legs = [query for query in for_legs if shown.isdisjoint(_keys(query))]
    for_rerank = [query for query in for_rerank if shown.isdisjoint(_keys(query))]
    return (
        _part(train, for_legs, most=request.queries, what=request.train, seed=request.seed),
        _part(dev, for_rerank, most=request.rerank_queries, what=what, seed=request.seed),
    )


def _keys(query: Query) -> tuple[str, str]:
    """Return what one query is told from another by; an id has no blank before it."""
    return query.query_id, " " + " ".join(query.text.split()).casefold()


def _part(dataset: Dataset, queries: Sequence[Query], *, most: int, what: str, seed: int) -> Part:
    places = shuffled([query.query_id for query in queries], seed=seed)[:most]
    return Part(
        dataset=dataset,
        queries=[queries[place] for place in places],
        what=f"{len(places)} of {len(queries)} {what} queries",
    )


def _searched(  # noqa: PLR0913 - what is searched, and against what
    recorded: RecordedSet,
    part: Part,
    settings: Sequence[Setting],
    *,
    present: Setting,
    options: Options,
    rule: PerQuery | None = None,
) -> Tuning:
    replays = Replays(recorded.record, qrels=part.dataset.qrels, ask=recorded.ask)
    return tune(
        with_rule(
            lambda some, queries: replays.ndcg(some, queries=queries),
            rule=rule or PerQuery(),
            present=present,
            texts=[query.text for query in part.queries],
        ),
        query_ids=[query.query_id for query in part.queries],
        settings=settings,
        present=present,
        options=options,
    )


def _kinds(recorded: RecordedSet, part: Part, present: Setting, *, folds: int) -> KindTuning:
    """Search for queries that gain from weights of their own, fused in the same way."""
    present = replace(present, rerank=None)
    others = [
        replace(present, weights=setting.weights)
        for setting in fusion_grid(present.legs, fusions=[present.fusion])
        if setting.legs == present.legs and len(present.legs) > 1
    ]
    replays = Replays(recorded.record, qrels=part.dataset.qrels)
    values = replays.ndcg([present, *others])
    return tune_kinds(
        values[1:] - values[0],
        settings=others,
        texts=[query.text for query in part.queries],
        query_ids=[query.query_id for query in part.queries],
        folds=folds,
    )


def _in_time(setting: Setting, latency: LatencyModel, plan: FunnelPlan) -> bool:
    """Say whether reranking is mostly done before the plan's deadline for it."""
    took = latency(setting) - latency(replace(setting, rerank=None))
    return took <= plan.deadlines.rank_ms * _ROOM


def with_legs(plan: FunnelPlan, found: Tuning) -> FunnelPlan:
    """Return the plan with the legs that a search chose; what it says of reranking stays.

    A rule for one kind of queries goes with the weights that it was beside.
    """
    if found.proposed is None:
        return plan
    chosen = found.proposed.applied(plan)
    rerank = replace(chosen.rerank, enabled=plan.rerank.enabled)
    return replace(chosen, rerank=rerank, tuned=found.evidence)


def with_rerank(plan: FunnelPlan, found: Tuning) -> FunnelPlan:
    """Return the plan with reranking as a search decided it, and the figures; its legs stay."""
    chosen = found.proposed or found.present.setting
    rerank = chosen.applied(plan).rerank
    return replace(plan, rerank=replace(rerank, decided=True, reason=found.evidence))
