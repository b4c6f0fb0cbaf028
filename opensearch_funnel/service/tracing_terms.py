"""Which terms made the raw score of a leg: pure functions of what the engine says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from opensearch_funnel.service.tracing import TextTerm, TokenTerm

_DROPPED_BITS = 15
_WEIGHT = re.compile(r"weight\((?P<what>.+) in \d+\)")
_FIELD = re.compile(r"(?P<field>[\w.@-]+):(?P<term>.+)", re.DOTALL)
_TIE = re.compile(r"max plus (?P<factor>[\d.]+(?:E-?\d+)?) times others of:")
_SMALLEST = 1e-9

Explanation = Mapping[str, Any]
AnyTerm = TypeVar("AnyTerm", TextTerm, TokenTerm)


def sparse_terms(
    query: Mapping[str, float], document: Mapping[str, float]
) -> tuple[TokenTerm, ...]:
    """Return the terms that a query and a document share, heaviest product first.

    Args:
        query: token to weight, as the engine gets it.
        document: token to weight, as the document has it; what the index keeps of it is less
            exact (``kept_weight``), and that is what counts.

    Example:
        >>> [term] = sparse_terms({"fox": 2.0, "red": 1.0}, {"fox": 1.5, "hound": 3.0})
        >>> term.term, term.query_weight, term.stored_weight, term.contribution
        ('fox', 2.0, 1.5, 3.0)
    """
    found = []
    for token, weight in query.items():
        if token in document:
            stored = kept_weight(float(document[token]))
            found.append(
                TokenTerm(
                    term=token,
                    query_weight=weight,
                    stored_weight=stored,
                    contribution=weight * stored,
                )
            )
    return _heaviest_first(found)


def kept_weight(weight: float) -> float:
    """Return what a ``rank_features`` field keeps of a weight: the upper 17 bits of its float32.

    That is its sign, its exponent and 9 significant bits, cut and not rounded.

    Example:
        >>> kept_weight(1.702), kept_weight(1.69921875)
        (1.69921875, 1.69921875)
    """
    bits = np.float32(weight).view(np.uint32) >> _DROPPED_BITS << _DROPPED_BITS
    return float(bits.view(np.float32))


def lexical_terms(explanation: Explanation) -> tuple[TextTerm, ...]:
    """Return what each term added to a score that the engine explains, heaviest first.

    Only what counts is followed: where the best field wins, that field alone, and the others as
    far as a tie breaker lets them. So the terms add up to the score. What cannot be told apart
    into terms stands as one, under the engine's own words.

    Args:
        explanation: ``_explanation`` of a hit.

    Example:
        >>> fox = {"value": 2.0, "description": "weight(text:fox in 7) [B], result of:"}
        >>> red = {"value": 0.5, "description": "weight(title:red in 7) [B], result of:"}
        >>> best = {"value": 2.0, "description": "max of:", "details": [fox, red]}
        >>> [(term.field, term.term, term.contribution) for term in lexical_terms(best)]
        [('text', 'fox', 2.0)]
    """
    added: dict[tuple[str | None, str], float] = {}
    for field, term, value in _leaves(explanation, factor=1.0):
        added[field, term] = added.get((field, term), 0.0) + value
    return _heaviest_first(
        [
            TextTerm(field=field, term=term, contribution=value)
            for (field, term), value in added.items()
        ]
    )


def _leaves(explanation: Explanation, *, factor: float) -> Iterator[tuple[str | None, str, float]]:
    """Walk down to the terms; each with its field, and its value times the factors above it."""
    description = str(explanation.get("description", ""))
    value = float(explanation.get("value") or 0.0)
    details: Sequence[Explanation] = explanation.get("details") or ()
    if abs(value) < _SMALLEST:
        return
    weight = _WEIGHT.match(description)
    if weight is not None:
        field, term = _field_and_term(weight["what"])
        yield field, term, value * factor
    elif description.startswith("sum of:"):
        for part in details:
            yield from _leaves(part, factor=factor)
    elif description.startswith("max ") and details:
        yield from _leaves_of_best(description, details, factor=factor)
    else:
        yield None, " ".join(description.split()), value * factor


def _leaves_of_best(
    description: str, details: Sequence[Explanation], *, factor: float
) -> Iterator[tuple[str | None, str, float]]:
    tie = _TIE.match(description)
    others = float(tie["factor"]) if tie else 0.0
    best = max(range(len(details)), key=lambda i: float(details[i].get("value") or 0.0))
    yield from _leaves(details[best], factor=factor)
    if others:
        for i, part in enumerate(details):
            if i != best:
                yield from _leaves(part, factor=factor * others)


def _field_and_term(what: str) -> tuple[str | None, str]:
    """Split what a weight is of.

    Example:
        >>> _field_and_term("text:wait"), _field_and_term("Synonym(text:car text:auto)")
        (('text', 'wait'), (None, 'Synonym(text:car text:auto)'))
        >>> _field_and_term('text:"red fox"')
        ('text', '"red fox"')
    """
    found = _FIELD.fullmatch(what)
    return (found["field"], found["term"]) if found else (None, what)


def _heaviest_first(terms: Sequence[AnyTerm]) -> tuple[AnyTerm, ...]:
    return tuple(sorted(terms, key=lambda one: (-one.contribution, one.term)))
