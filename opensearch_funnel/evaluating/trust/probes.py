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
_LEAD_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A document without a part of it, and that part to ask for it.

    Attributes:
        query: the part that was taken out.
        fields: what is left, by field.
        indexed: whether the index has these fields as they are, so that the engine can score them.
    """

    query: str
    fields: Mapping[str, str]
    indexed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A document that was drawn, and what is asked to find it.

    Attributes:
        index: that it is in.
        doc_id: its id there.
        target: what it is called among candidates.
        own: its title or one of its sentences, or else its first words; empty where it has none.
        title: it without its title, asked for by that; ``None`` where the title says nothing that
            the rest does not say.
        lead: it without its first sentence, asked for by that; ``None`` where little is left.
        words: some of its words, drawn at random; empty where there are too few.
    """

    index: str
    doc_id: str
    target: str
    own: str
    title: Cut | None
    lead: Cut | None
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
    whole = encoded_text(source, fields=plan.text_fields)
    return Sample(
        index=str(hit["_index"]),
        doc_id=str(hit["_id"]),
        target=candidate_id(hit, shards=shards),
        own=_cut(probe_text(source, plan=plan, turn=turn) or whole),
        title=without_title(source, fields=plan.text_fields),
        lead=without_lead(source, fields=plan.text_fields),
        words=random_words(whole, turn=turn),
    )


def without_title(source: Mapping[str, Any], *, fields: Sequence[str]) -> Cut | None:
    """Return a document without its title; nothing where that would tell nothing.

    A title of fewer than three words hardly is a query, and one that the rest repeats word for
    word is no test of what the rest means. The parts of a name count as words.

    Args:
        source: the document's fields.
        fields: the text fields; the first one is the title.

    Example:
        >>> film = {"title": "A Heist Gone Wrong", "text": "Two thieves meet in Paris."}
        >>> cut = without_title(film, fields=("title", "text"))
        >>> cut.query, dict(cut.fields)
        ('A Heist Gone Wrong', {'text': 'Two thieves meet in Paris.'})
        >>> again = {"title": "A Heist Gone Wrong", "text": "See: a heist  gone wrong."}
        >>> without_title(again, fields=("title", "text"))
    """
    title = encoded_text(source, fields=fields[:1])
    left = _texts(source, fields=fields[1:])
    rest = " ".join(left.values())
    if not _is_query(title) or not _is_document(rest) or _plain(title) in _plain(rest):
        return None
    return Cut(query=_cut(title), fields=left, indexed=True)


def without_lead(source: Mapping[str, Any], *, fields: Sequence[str]) -> Cut | None:
    """Return a document without the first sentence, or line, of its last text field.

    Who writes a text says first what it is about: of a document without a title that is the next
    best. A title that says the same goes along.

    Args:
        source: the document's fields.
        fields: the text fields.

    Example:
        >>> note = {"text": "How to wait for threads. Call join on each one of them, in turn."}
        >>> cut = without_lead(note, fields=("title", "text"))
        >>> cut.query, dict(cut.fields)
        ('How to wait for threads.', {'text': 'Call join on each one of them, in turn.'})
        >>> without_lead({"text": "One sentence alone."}, fields=("title", "text"))
    """
    own = _texts(source, fields=fields)
    text = own.pop(fields[-1], "").strip()
    lead, *rest = _LEAD_ENDS.split(text, maxsplit=1)
    if not _is_query(lead) or not rest:
        return None
    said = _plain(lead)
    left = {name: value for name, value in own.items() if not _alike(_plain(value), said)}
    left[fields[-1]] = rest[0].strip()
    if not _is_document(left[fields[-1]]) or said in _plain(" ".join(left.values())):
        return None
    return Cut(query=_cut(lead), fields=left, indexed=False)


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


def _texts(source: Mapping[str, Any], *, fields: Sequence[str]) -> dict[str, str]:
    found = {name: encoded_text(source, fields=(name,)) for name in fields}
    return {name: text for name, text in found.items() if text}


def _is_query(text: str) -> bool:
    return len(_WORD.findall(text)) >= _WORDS_OF_A_TITLE


def _is_document(text: str) -> bool:
    return len(text.split()) >= _WORDS_OF_A_REST


def _alike(one: str, other: str) -> bool:
    return one in other or other in one


def _plain(text: str) -> str:
    """Return a text's words alone, each between blanks, so that no part of one is taken for it."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _cut(text: str) -> str:
    """Cut a text where queries end: the engine takes no more than so many words of one."""
    return " ".join(text.split()[:_MOST_WORDS])
