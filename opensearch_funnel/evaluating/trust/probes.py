"""Queries that are made of documents, drawn from the index, that the funnel has encoded."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine.leg_hits import Shard, candidate_id
from opensearch_funnel.evaluating.trials import drawn, probe_text

DOCUMENTS = 200
"""Probes of a kind, each of another document: more would take longer than they would tell."""

_SEED = 20
_MOST_WORDS = 30
_WORDS_OF_A_TITLE = 3
_WORDS_OF_A_REST = 5
_RANDOM_WORDS = 4
_LONG = re.compile(r"\w{4,}")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A document that was drawn, and what is asked to find it.

    Attributes:
        index: that it is in.
        doc_id: its id there.
        target: what it is called among candidates.
        own: its title or one of its sentences; empty where there are no words.
        title: its title, where that says something that the rest does not; else empty.
        rest: its text without the title.
        words: some of its words, drawn at random; empty where there are too few.
    """

    index: str
    doc_id: str
    target: str
    own: str
    title: str
    rest: str
    words: str


def samples(
    client: OpenSearch, plan: FunnelPlan, *, shards: Sequence[Shard], count: int
) -> list[Sample]:
    """Draw documents that the funnel has encoded, always the same ones, and make probes of them.

    Args:
        client: the cluster.
        plan: names the index and the text fields.
        shards: of the index.
        count: at most so many.
    """
    ready: list[dict[str, Any]] = [{"term": {"funnel.state": "ready"}}]
    if "dense" in plan.active_legs:
        ready.append({"exists": {"field": plan.dense_field}})
    hits = drawn(client, plan, count=count, among={"bool": {"filter": ready}})
    return [_sample(hit, plan=plan, turn=turn, shards=shards) for turn, hit in enumerate(hits)]


def _sample(
    hit: Mapping[str, Any], *, plan: FunnelPlan, turn: int, shards: Sequence[Shard]
) -> Sample:
    source = hit.get("_source") or {}
    title, rest = title_and_rest(source, fields=plan.text_fields)
    return Sample(
        index=str(hit["_index"]),
        doc_id=str(hit["_id"]),
        target=candidate_id(hit, shards=shards),
        own=_cut(probe_text(source, plan=plan, turn=turn)),
        title=title,
        rest=rest,
        words=random_words(encoded_text(source, fields=plan.text_fields), turn=turn),
    )


def title_and_rest(source: Mapping[str, Any], *, fields: Sequence[str]) -> tuple[str, str]:
    """Return a document's title and the rest of its text, both empty where they tell nothing.

    A title of fewer than three words hardly is a query, and one that the rest repeats word for
    word is no test of what the rest means. The parts of a name count as words.

    Args:
        source: the document's fields.
        fields: the text fields; the first one is the title.

    Example:
        >>> film = {"title": "A Heist Gone Wrong", "text": "Two thieves meet in Paris."}
        >>> title_and_rest(film, fields=("title", "text"))
        ('A Heist Gone Wrong', 'Two thieves meet in Paris.')
        >>> again = {"title": "A Heist Gone Wrong", "text": "See: a heist  gone wrong."}
        >>> title_and_rest(again, fields=("title", "text"))
        ('', '')
    """
    title = encoded_text(source, fields=fields[:1])
    rest = encoded_text(source, fields=fields[1:])
    few = len(_WORD.findall(title)) < _WORDS_OF_A_TITLE
    if few or len(rest.split()) < _WORDS_OF_A_REST or _plain(title) in _plain(rest):
        return "", ""
    return _cut(title), rest


def random_words(text: str, *, turn: int) -> str:
    """Return some long words of a text, the same ones each time; empty where it has too few.

    Example:
        >>> random_words("Two thieves meet a very tired policeman in Paris", turn=0)
        'policeman tired meet thieves'
        >>> random_words("a b c", turn=0)
        ''
    """
    words = sorted({word.casefold() for word in _LONG.findall(text)})
    if len(words) < _RANDOM_WORDS:
        return ""
    return " ".join(random.Random(f"{_SEED} {turn}").sample(words, k=_RANDOM_WORDS))  # noqa: S311


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _cut(text: str) -> str:
    """Cut a text where queries end: the engine takes no more than so many words of one."""
    return " ".join(text.split()[:_MOST_WORDS])
