"""What decisions about a plan rest on, and the keys by which they are remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.evaluating import switch
from opensearch_funnel.evaluating.trials import KnownQuery
from opensearch_funnel.evaluating.trust import deciding

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Queries with known answers to decide on, and what they are."""

    queries: Sequence[KnownQuery]
    evidence: str


NOTHING_KNOWN = Known(queries=(), evidence="nothing")


def decision_key(plan: FunnelPlan, *, known: Known) -> str:
    """Return what a decision about reranking is remembered by: everything that it rests on.

    That is the plan without the decision, but with the trust in its legs, which order what is
    reranked; the rerankers' files, the queries with their grades, and the rule it is made by.

    Example:
        >>> graded = [Known(queries=(KnownQuery(text="fox", grades={"d1": grade}),), evidence="dev")
        ...           for grade in (1.0, 2.0)]
        >>> one, other = (decision_key(FunnelPlan(alias="films"), known=k) for k in graded)
        >>> one == other
        False
    """
    asked = {
        "plan": replace(plan.undecided(), fusion=plan.fusion, trust=plan.trust).to_dict(),
        "rerankers": [_fingerprint(name) for name in plan.rerank.models],
        "queries": sorted((query.text, sorted(query.grades.items())) for query in known.queries),
        "rule": switch.RULE,
    }
    return _hash(asked)


def trust_key(plan: FunnelPlan) -> str:
    """Return what the trust in a plan's legs is remembered by: all but the index's documents.

    That is what the plan searches and how, without what was measured, and the rule it was
    measured by. What it says of reranking, deadlines and samples does not matter.

    Example:
        >>> films = FunnelPlan(alias="films")
        >>> trust_key(films) == trust_key(replace(films, sample=0.5))
        True
        >>> trust_key(films) == trust_key(replace(films, depth=100))
        False
    """
    plain = plan.undecided().to_dict()
    rests_on = ("alias", "text_fields", "slot", "depth", "bm25", "sparse", "dense", "fusion")
    return _hash({"plan": {name: plain[name] for name in rests_on}, "rule": deciding.RULE})


def _hash(rests_on: Mapping[str, Any]) -> str:
    return sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _fingerprint(model: str) -> str:
    """Return what tells a reranker from others; empty for one that is not there."""
    from opensearch_funnel.encoders.manifest_files import load_manifest

    try:
        return load_manifest(model).fingerprint()
    except InputError:
        return ""
