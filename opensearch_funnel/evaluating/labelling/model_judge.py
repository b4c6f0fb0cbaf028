"""Let a language model judge pairs: several at once, until all are judged or it has to stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

import orjson

from opensearch_funnel.core.errors import InputError, LlmBudgetError, LlmError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.evaluating.labelling.journal import Journal
from opensearch_funnel.evaluating.labelling.passages import Passage
from opensearch_funnel.evaluating.labelling.pool import Pair
from opensearch_funnel.evaluating.labelling.prompt import MAX_TOKENS, Graded, messages
from opensearch_funnel.llm.client import Answer, Llm, Prompt
from opensearch_funnel.llm.schemas import answer_schema
from opensearch_funnel.llm.spending import Tokens, upper_estimate

_LIKELY_BYTES, _LIKELY_WRITTEN = 4, 60
"""Bytes of a token of plain text, and tokens of an answer by a model that does not think aloud."""
_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What judging could take.

    Attributes:
        calls: to the model.
        likely: tokens, by what plain text has; a model that thinks aloud writes far more.
        most: tokens that no call can pass.
    """

    calls: int
    likely: Tokens
    most: Tokens


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        judged: how many pairs got a grade.
        cached: how many of these had been asked before, and took nothing.
        grades: how often each.
        failures: what went wrong and how often; these pairs have no grade.
        stopped: why no more was asked; empty where all was.
        tokens: of the calls that gave a grade.
        cost: of the same, by the prices in the settings.
    """

    judged: int = 0
    cached: int = 0
    grades: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    tokens: Tokens = field(default_factory=Tokens)
    cost: float = 0.0

    def take(self, answer: Answer[Graded]) -> None:
        """Count an answer."""
        self.judged += 1
        self.cached += answer.cached
        self.grades[answer.value.grade] += 1
        self.tokens += answer.tokens
        self.cost += answer.cost


def to_ask(pairs: Sequence[Pair], journal: Journal) -> list[Pair]:
    """Return the pairs that the journal has no grade of."""
    return [pair for pair in pairs if pair.key not in journal.decisions]


def estimated(pairs: Sequence[Pair], passages: Mapping[str, Passage]) -> Estimate:
    """Return what judging these pairs could take; nothing is asked."""
    schema = orjson.dumps(answer_schema(Graded)).decode()
    likely, most = Tokens(), Tokens()
    for pair in pairs:
        asked = messages(pair.query, passages[pair.doc_id])
        size = sum(len(message.content.encode()) for message in asked)
        likely += Tokens(size // _LIKELY_BYTES, _LIKELY_WRITTEN)
        most += upper_estimate(asked, schema=schema, max_tokens=MAX_TOKENS)
    return Estimate(calls=len(pairs), likely=likely, most=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """A language model that judges.

    Attributes:
        llm: the model.
        passages: the documents' texts.
        parallel: how many calls run at once.
        progress: hears of pairs.
    """

    llm: Llm
    passages: Mapping[str, Passage]
    parallel: int = 4
    progress: Progress = SILENT

    def judge(self, pairs: Sequence[Pair], *, journal: Journal) -> Outcome:
        """Ask for a grade of every pair that the journal has none of; each goes there at once.

        A pair whose call fails is counted and left without a grade: the next run asks again.
        Nothing more is asked when a budget is used up, or when five calls in a row fail.

        Args:
            pairs: what to judge; their documents are in ``passages``.
            journal: where grades go.

        Raises:
            InputError: the journal cannot be written.
        """
        outcome = Outcome()
        todo = iter(to_ask(pairs, journal))
        workers = ThreadPoolExecutor(self.parallel, thread_name_prefix="judge")
        in_a_row = 0

        def started(more: int) -> Iterator[tuple[Future[Answer[Graded]], Pair]]:
            for pair in islice(todo, more):
                yield workers.submit(self._ask, pair), pair

        try:
            left = len(to_ask(pairs, journal))
            with self.progress.task("judging", total=left, unit="pairs") as advance:
                running = dict(started(self.parallel))
                while running:
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        pair = running.pop(done)
                        try:
                            answer = done.result()
                        except LlmBudgetError as error:
                            outcome.stopped = str(error)
                        except (LlmError, InputError) as error:  # or the ledger was busy
                            in_a_row += 1
                            outcome.failures[str(error)] += 1
                            if in_a_row >= _FAILURES_IN_A_ROW:
                                outcome.stopped = (
                                    f"{in_a_row} calls in a row failed, the last: {error}"
                                )
                        else:
                            in_a_row = 0
                            journal.write(pair, answer.value.grade, why=answer.value.reason)
                            outcome.take(answer)
                        advance(1)
                    if not outcome.stopped:
                        running |= dict(started(self.parallel - len(running)))
        finally:
            # Whoever stops this closes the model next, which ends the calls that still run.
            workers.shutdown(wait=False, cancel_futures=True)
        return outcome

    def _ask(self, pair: Pair) -> Answer[Graded]:
        asked = messages(pair.query, self.passages[pair.doc_id])
        prompt = Prompt(messages=asked, purpose="judge", max_tokens=MAX_TOKENS)
        return self.llm.ask_json(prompt, answer=Graded)
