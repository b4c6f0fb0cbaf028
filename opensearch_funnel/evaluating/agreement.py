"""How far two judges agree, beyond what chance alone would give: Cohen's kappa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.grades import plain
from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two judges on the documents that both judged.

    Attributes:
        grades: every grade that one of them gave, smallest first.
        confusion: a row a grade of the first judge, a column a grade of the second.
        agreed: the share of documents with the same grade.
        kappa: Cohen's; nothing where both gave one and the same grade to all.
        weighted_kappa: with linear weights: the further apart two grades are in the order of
            ``grades``, the more a disagreement counts.
        only_first: judgments that only the first has.
        only_second: likewise.
    """

    grades: tuple[Decimal, ...]
    confusion: tuple[tuple[int, ...], ...]
    agreed: float
    kappa: float | None
    weighted_kappa: float | None
    only_first: int
    only_second: int

    @property
    def pairs(self) -> int:
        """How many documents both judged."""
        return sum(map(sum, self.confusion))

    def to_json(self) -> dict[str, object]:
        """Return the same for printing."""
        return {
            "pairs": self.pairs,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "agreed": self.agreed,
            "kappa": self.kappa,
            "weighted_kappa": self.weighted_kappa,
            "grades": [plain(grade) for grade in self.grades],
            "confusion": self.confusion,
        }


def agreement(first: Judgments, second: Judgments) -> Agreement:
    """Compare what two files say about the documents that both judge.

    Queries are the same where their ids are; if one of the files has none of its own, where their
    texts are.

    Raises:
        InputError: no document is judged in both.
    """
    by_text = first.made_ids or second.made_ids
    ours, theirs = _pairs(first, by_text=by_text), _pairs(second, by_text=by_text)
    both = [pair for pair in ours if pair in theirs]
    if not both:
        raise InputError(
            "no document is judged for the same query in both files: are they about the same "
            f"queries, by {'text' if by_text else 'id'}?"
        )
    grades = tuple(sorted({*(ours[pair] for pair in both), *(theirs[pair] for pair in both)}))
    counts = Counter((ours[pair], theirs[pair]) for pair in both)
    confusion = tuple(tuple(counts[row, column] for column in grades) for row in grades)
    return Agreement(
        grades=grades,
        confusion=confusion,
        agreed=sum(confusion[i][i] for i in range(len(grades))) / len(both),
        kappa=cohens_kappa(confusion),
        weighted_kappa=cohens_kappa(confusion, linear=True),
        only_first=len(ours) - len(both),
        only_second=len(theirs) - len(both),
    )


def cohens_kappa(confusion: Sequence[Sequence[int]], *, linear: bool = False) -> float | None:
    """Return one minus the disagreement there is over the disagreement expected by chance.

    Cohen, "A coefficient of agreement for nominal scales" (1960), and with weights "Weighted
    kappa" (1968): two grades ``i`` and ``j`` places apart disagree by 1, or by ``|i - j|``.

    Args:
        confusion: how often the first judge gave row ``i`` where the second gave column ``j``.
        linear: whether disagreements are weighted by their distance.

    Returns:
        1 for full agreement, 0 for chance, below 0 for less than chance; nothing where chance
        alone gives full agreement.

    Example:
        The two judges of Manning, Raghavan and Schütze, "Introduction to Information Retrieval",
        table 8.2:

        >>> round(cohens_kappa([[300, 20], [10, 70]]), 3)
        0.776
    """
    total = sum(map(sum, confusion))
    rows = [sum(row) for row in confusion]
    columns = [sum(column) for column in zip(*confusion, strict=True)]
    found, expected = 0, 0
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            weight = abs(i - j) if linear else int(i != j)
            found += weight * count
            expected += weight * rows[i] * columns[j]
    return 1.0 - found * total / expected if expected else None


def _pairs(judgments: Judgments, *, by_text: bool) -> dict[tuple[str, str], Decimal]:
    pairs: dict[tuple[str, str], Decimal] = {}
    for query in judgments.queries:
        for doc_id, grade in query.grades.items():
            pairs.setdefault((_key(query, by_text=by_text), doc_id), grade)
    return pairs


def _key(query: JudgedQuery, *, by_text: bool) -> str:
    if not by_text:
        return query.query_id
    if query.text is None:
        raise InputError(
            f"query {query.query_id!r} has no text, and the other file knows queries by their "
            "text: name the file with the texts (--queries)"
        )
    return query.text
