"""A person judges a part of somebody else's judgements again, without seeing them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.agreement import Agreement, agreement, cohens_kappa
from opensearch_funnel.evaluating.formats.grades import is_whole, plain
from opensearch_funnel.evaluating.formats.model import Judgments
from opensearch_funnel.evaluating.labelling.pool import Pair, lot

_DRAWS = 2_000
_WORDS = (
    (0.0, "no better than chance"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (1.0, "almost perfect"),
)
"""Landis and Koch, "The measurement of observer agreement for categorical data" (1977)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Two judges on the same pairs.

    Attributes:
        agreement: all figures; the rows are the reviewed judge's grades, the columns the
            reviewer's.
        interval: of kappa, 95 %; nothing where it is undefined.
        higher: on how many pairs the reviewed judge gave the higher grade.
        lower: likewise.
    """

    agreement: Agreement
    interval: tuple[float, float] | None
    higher: int
    lower: int

    @property
    def one_grade(self) -> bool:
        """Say whether one of the two gave one grade to all."""
        rows = self.agreement.confusion
        return sum(map(any, rows)) == 1 or sum(map(any, zip(*rows, strict=True))) == 1


def sampled_pairs(judgments: Judgments, *, size: int, seed: int, top: int) -> tuple[Pair, ...]:
    """Draw pairs to be judged again: every one is as likely as any other.

    The lot of a pair does not depend on the others, so a file that has grown keeps most of its
    sample.

    Args:
        judgments: what is reviewed.
        size: how many; all of them where there are fewer.
        seed: another one draws others.
        top: the highest grade that the reviewer can give.

    Raises:
        InputError: there are no judgments, a query has no text, or a grade is none that the
            reviewer could give.
    """
    pairs = []
    for query in judgments.queries:
        for doc_id, grade in query.grades.items():
            if query.text is None:
                raise InputError(
                    f"query {query.query_id!r} has no text, without which nobody can judge: name "
                    "the file with the texts (--queries)"
                )
            if not is_whole(grade) or not 0 <= grade <= top:
                raise InputError(
                    f"grade {plain(grade)} of document {doc_id!r} is none of 0 to {top}, which is "
                    "what the reviewer can give: name the highest grade by --grades"
                )
            pairs.append(Pair(query_id=query.query_id, query=query.text, doc_id=doc_id))
    if not pairs:
        raise InputError("there are no judgments to review")
    pairs.sort(key=lambda pair: lot(*pair.key, seed=seed))
    return tuple(pairs[:size])


def reviewed(judgments: Judgments, review: Judgments) -> Reviewed:
    """Compare judgements with a review of them.

    Raises:
        InputError: they have no pair in common.
    """
    found = agreement(judgments, review)
    cells = [
        (row, column, found.confusion[row][column])
        for row in range(len(found.grades))
        for column in range(len(found.grades))
    ]
    return Reviewed(
        agreement=found,
        interval=kappa_interval(found.confusion),
        higher=sum(count for row, column, count in cells if row > column),
        lower=sum(count for row, column, count in cells if row < column),
    )


def kappa_interval(confusion: Sequence[Sequence[int]]) -> tuple[float, float] | None:
    """Return the 95 % interval of Cohen's kappa: a percentile bootstrap over the pairs.

    The seed is fixed. Draws in which kappa is undefined are left out. It knows nothing of pairs of
    one query being alike, which would make it somewhat wider.

    Example:
        >>> low, high = kappa_interval([[20, 5], [5, 20]])
        >>> low < 0.6 < high
        True
    """
    if cohens_kappa(confusion) is None:
        return None
    size = len(confusion)
    cells = [(row, column) for row in range(size) for column in range(size)]
    weights = [confusion[row][column] for row, column in cells]
    rng = random.Random(0)  # noqa: S311 - not for secrets
    kappas = []
    for _ in range(_DRAWS):
        drawn = [[0] * size for _ in range(size)]
        for row, column in rng.choices(cells, weights=weights, k=sum(weights)):
            drawn[row][column] += 1
        if (kappa := cohens_kappa(drawn)) is not None:
            kappas.append(kappa)
    kappas.sort()
    last = len(kappas) - 1
    return kappas[round(0.025 * last)], kappas[round(0.975 * last)]


def in_words(kappa: float) -> str:
    """Return what people call a kappa.

    Example:
        >>> in_words(0.55), in_words(-0.1), in_words(1.0)
        ('moderate', 'no better than chance', 'almost perfect')
    """
    return next((word for most, word in _WORDS if kappa <= most), _WORDS[-1][1])
