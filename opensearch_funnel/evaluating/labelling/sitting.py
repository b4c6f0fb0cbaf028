"""A judge goes through pairs: which is next, which was before, what is left. No input or output."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from opensearch_funnel.evaluating.labelling.journal import Journal
from opensearch_funnel.evaluating.labelling.pool import Pair

_RECENT = 20
_LONGEST_S = 300.0


class Sitting:
    """One stretch of judging; a later one goes on where it stopped.

    Args:
        pairs: what is to be judged, in this order.
        journal: what was judged before, and where every judgement goes.
        again: whether to ask again for what was skipped.
    """

    def __init__(self, pairs: Sequence[Pair], *, journal: Journal, again: bool = False) -> None:
        self.pairs = tuple(pairs)
        self._journal = journal
        self._by_key = {pair.key: pair for pair in self.pairs}
        self._open = {
            pair.key: pair
            for pair in self.pairs
            if (decision := journal.decisions.get(pair.key)) is None
            or (again and decision.grade is None)
        }
        self._before = [
            key for key in journal.decisions if key in self._by_key and key not in self._open
        ]
        self._back = 0

    @property
    def current(self) -> Pair | None:
        """The pair to judge now; nothing where all is done."""
        if self._back:
            return self._by_key[self._before[-self._back]]
        return next(iter(self._open.values()), None)

    @property
    def given(self) -> str:
        """What was said about the current pair before, in words; empty for a new one."""
        pair = self.current
        decision = None if pair is None else self._journal.decisions.get(pair.key)
        if decision is None:
            return ""
        return "skipped before" if decision.grade is None else f"graded {decision.grade} before"

    @property
    def done(self) -> int:
        """How many pairs have been graded or skipped."""
        return len(self.pairs) - len(self._open)

    @property
    def left(self) -> int:
        """How many have not."""
        return len(self._open)

    def decide(self, grade: int | None) -> None:
        """Judge the current pair and go on to the next that is open.

        Args:
            grade: nothing to skip it.

        Raises:
            InputError: the journal cannot be written; the pair stays the current one.
        """
        pair = self.current
        if pair is None:
            return
        self._journal.write(pair, grade)
        if self._back:
            del self._before[-self._back]
        self._back = 0
        self._open.pop(pair.key, None)
        self._before.append(pair.key)

    def back(self) -> bool:
        """Go to the pair that was judged before this one, also in an earlier sitting.

        Returns:
            Whether there is one. What was said about it holds until something else is.
        """
        if self._back == len(self._before):
            return False
        self._back += 1
        return True

    def counts(self) -> dict[str, int]:
        """Return how many pairs have each grade, and how many were skipped."""
        decisions = self._journal.decisions
        found = Counter(decisions[key].grade for key in self._by_key if key in decisions)
        skipped = found.pop(None, 0)
        grades = {str(grade): found[grade] for grade in sorted(found, key=lambda g: g or 0)}
        return {**grades, **({"skipped": skipped} if skipped else {})}


def time_left(seconds: Sequence[float], *, left: int) -> str:
    """Tell how long the rest takes, by the latest pairs; empty while that would be a guess.

    Args:
        seconds: what each pair of this sitting took; a pause counts as five minutes at most.
        left: pairs to go.

    Example:
        >>> time_left([10.0, 12.0, 11.0, 4000.0, 9.0], left=400), time_left([10.0], left=400)
        ('about 1 h 13 min left', '')
        >>> time_left([6.0] * 9, left=4)
        'under a minute left'
    """
    if len(seconds) < 5 or not left:  # noqa: PLR2004 - fewer say nothing
        return ""
    recent = [min(second, _LONGEST_S) for second in seconds[-_RECENT:]]
    minutes = round(statistics.median(recent) * left / 60)
    if not minutes:
        return "under a minute left"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min left" if hours else f"about {minutes} min left"
