"""Other weights for queries of one kind, where that is shown to gain on queries of that kind.

A rule says which queries (a feature of their text between two bounds) and how their legs weigh;
all others keep the weights of the plan. As with plans as a whole, the choice is made once for each
fold without its queries and judged on them, and without a sure gain there is no rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.plan import PerQuery
from opensearch_funnel.core.query_kinds import FEATURES, Feature, feature_of
from opensearch_funnel.evaluating.measures import bootstrap_interval
from opensearch_funnel.evaluating.replaying.record import Floats
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.search import Measured, fold_of

FEWEST_OF_A_KIND = 30
_BOUNDS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Where the values of a feature are cut: at these shares of the queries."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Queries that a rule is for.

    Attributes:
        feature: what is looked at.
        at_least: queries with less of it are of another kind.
        below: so are those with as much; 0 for no such end.
        fits: which of the queries are of this kind.
    """

    feature: Feature
    at_least: float
    below: float
    fits: Mask

    def __str__(self) -> str:
        bound = f"at least {self.at_least:g}" if self.at_least else f"fewer than {self.below:g}"
        return f"{self.feature.replace('_', ' ')} {bound}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTuning:
    """What a search for a rule found.

    Attributes:
        kind: the best kind of queries; ``None`` where no kind has queries enough.
        setting: what is best for them.
        gain: the mean held-out gain over all queries.
        interval: its 95 % interval.
        tried: how many rules.
        queries: how many queries there were.
    """

    kind: Kind | None
    setting: Setting | None
    gain: float
    interval: tuple[float, float]
    tried: int
    queries: int

    @property
    def proposed(self) -> PerQuery | None:
        """The rule; ``None`` where all queries keep the same weights."""
        if self.kind is None or self.setting is None or self.interval[0] <= 0:
            return None
        return PerQuery(
            feature=self.kind.feature,
            at_least=self.kind.at_least,
            below=self.kind.below,
            reason=self.evidence,
            **dict(zip(self.setting.legs, self.setting.weights, strict=True)),
        )

    @property
    def evidence(self) -> str:
        """What was tried, and what that gains, in one line."""
        if self.kind is None:
            return (
                "one for all queries: there is one leg alone, or no kind of queries with "
                f"{FEWEST_OF_A_KIND} in it and as many outside"
            )
        low, high = self.interval
        verdict = f"own for {self.kind}" if low > 0 else "one for all queries"
        return (
            f"{verdict}; {self.tried} rules, the best on {int(self.kind.fits.sum())} of "
            f"{self.queries} queries ({self.kind}); held-out gain {self.gain:+.4f} (95 % interval "
            f"{low:+.4f} to {high:+.4f})"
        )


def kinds_of(texts: Sequence[str]) -> Iterator[Kind]:
    """Return kinds of queries: of each feature those above and those below a few bounds.

    Args:
        texts: of the queries that there are.

    Yields:
        Each kind that has at least ``FEWEST_OF_A_KIND`` queries, and leaves out as many.
    """
    for feature in FEATURES:
        values = np.array([feature_of(text, feature=feature) for text in texts])
        # Between none of a thing and any of it is a bound, too, however few have it.
        lowest = values[values > values.min()].min(initial=np.inf)
        cuts = np.quantile(values, _BOUNDS, method="higher")
        for bound in np.unique([lowest, *cuts]).tolist():
            for kind in (
                Kind(feature=feature, at_least=bound, below=0.0, fits=values >= bound),
                Kind(feature=feature, at_least=0.0, below=bound, fits=values < bound),
            ):
                inside = int(kind.fits.sum())
                if bound > 0 and FEWEST_OF_A_KIND <= inside <= len(texts) - FEWEST_OF_A_KIND:
                    yield kind


def tune_kinds(
    gains: Floats,
    *,
    settings: Sequence[Setting],
    texts: Sequence[str],
    query_ids: Sequence[str],
    folds: int,
) -> KindTuning:
    """Search for the kind of queries that gains most from weights of its own.

    Args:
        gains: what each setting gains over the plan's own weights, ``(settings, queries)``.
        settings: how legs may weigh for a kind.
        texts: of the queries.
        query_ids: of the queries.
        folds: how many.
    """
    kinds = list(kinds_of(texts))
    tried = len(kinds) * len(settings)
    nothing = KindTuning(
        kind=None, setting=None, gain=0.0, interval=(0.0, 0.0), tried=0, queries=len(texts)
    )
    if not tried:
        return nothing
    fold = np.array([fold_of(query_id, folds=folds) for query_id in query_ids])
    gained = np.zeros(len(texts))
    for number in range(folds):
        kind, setting = _best(gains, kinds, rows=fold != number)
        judged = kind.fits & (fold == number)
        gained[judged] = gains[setting, judged]
    kind, setting = _best(gains, kinds, rows=np.ones(len(texts), dtype=np.bool_))
    return KindTuning(
        kind=kind,
        setting=settings[setting],
        gain=float(gained.mean()),
        interval=bootstrap_interval(dict(zip(query_ids, gained.tolist(), strict=True))),
        tried=tried,
        queries=len(texts),
    )


def with_rule(
    measured: Measured, *, rule: PerQuery, present: Setting, texts: Sequence[str]
) -> Measured:
    """Return what measures the present setting as a plan with a rule fuses each query.

    Args:
        measured: measures settings on some of the queries.
        rule: the plan's; other settings come without it.
        present: the plan's setting for all other queries.
        texts: of all queries.
    """
    if rule.feature == "none":
        return measured
    fits = np.array([rule.fits(text) for text in texts], dtype=np.bool_)
    of_kind = replace(present, weights=tuple(getattr(rule, leg) for leg in present.legs))

    def together(settings: Sequence[Setting], queries: slice) -> Floats:
        values = measured(settings, queries)
        inside = fits[queries]
        if present in settings and inside.any():
            theirs = measured([of_kind], queries)[0]
            values[list(settings).index(present), inside] = theirs[inside]
        return values

    return together


def _best(gains: Floats, kinds: Sequence[Kind], *, rows: Mask) -> tuple[Kind, int]:
    """Return the kind and the number of the setting that gain most, on some of the queries."""
    best, found = -np.inf, (kinds[0], 0)
    for kind in kinds:
        together = gains[:, kind.fits & rows].sum(axis=1)
        setting = int(together.argmax())
        if together[setting] > best:
            best, found = float(together[setting]), (kind, setting)
    return found
