"""Which text of a document is encoded: chosen from the mapping and from what samples have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import FUNNEL
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.migrating.mapping_tree import MappedField
from opensearch_funnel.migrating.planning.token_counts import TokenCounter

MOST_FIELDS = 4
_TEXTS = frozenset({"text", "match_only_text", "search_as_you_type", "annotated_text", "semantic"})
_STRINGS = _TEXTS | {"keyword", "wildcard"}
_TITLES = ("title", "name", "headline", "heading", "subject", "label")
_SHORT = ("summary", "abstract", "description", "overview", "plot", "synopsis", "lead")
_LONG = ("text", "body", "content", "message", "answer", "comment")
_BY_NAME = (*_TITLES, *_SHORT, *_LONG)
_LAST_WORD = re.compile(r"[A-Z]?[a-z]+$")
# Behind another word these name something else: a user's, a brand's, a file's name.
_ALONE = frozenset({"name", "label", "subject", "lead", "message", "comment"})

_RARE = 0.05
_ONE_WORD = 1.5
_FEW_VALUES, _ENOUGH = 0.2, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChoice:
    """A field that has text, and whether it is encoded.

    Attributes:
        path: its full name in a document.
        taken: whether it is encoded.
        why: the reason, for a person.
        share: of the samples, how many have text in it.
        tokens: mean length of those texts.
    """

    path: str
    taken: bool
    why: str
    share: float = 0.0
    tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What samples have in a field."""

    texts: tuple[str, ...]
    share: float
    tokens: float

    @property
    def words(self) -> float:
        return sum(len(text.split()) for text in self.texts) / max(1, len(self.texts))

    @property
    def variety(self) -> float:
        return len(set(self.texts)) / max(1, len(self.texts))


def choose_fields(
    fields: Mapping[str, MappedField],
    samples: Sequence[Mapping[str, Any]],
    *,
    counter: TokenCounter,
    limit: int,
) -> list[FieldChoice]:
    """Choose the fields that tell most of a document, most telling first.

    Names say which those are likely to be: a title first, then what sums up, then the long text.
    What samples have in them says which are none: ids, categories, repetitions of another field.

    Args:
        fields: of the mapping.
        samples: documents to look at; may be none.
        counter: counts tokens.
        limit: how many tokens a model reads; fields that would come behind it are left out.

    Returns:
        The fields that are taken, in their order, then the others.

    Raises:
        InputError: there is no field to encode.
    """
    paths = [path for path in _candidates(fields) if not fields[path].nested]
    seen = {path: _look(samples, path, counter=counter) for path in paths}
    taken: list[FieldChoice] = []
    others: list[FieldChoice] = []
    room = float(limit)
    for path in sorted(paths, key=lambda one: (_rank(one), -seen[one].tokens, one)):
        look = seen[path]
        reason = _no_text(look, path, fields=fields) if samples else ""
        reason = reason or _repeats(look, [(one.path, seen[one.path]) for one in taken])
        if not reason and len(taken) == MOST_FIELDS:
            reason = f"{MOST_FIELDS} fields are taken, which is the most"
        if not reason and room <= 0:
            reason = f"models read {limit} tokens, which the fields before it fill"
        why = reason or _reason(path, with_samples=bool(samples))
        choice = FieldChoice(
            path=path, taken=not reason, why=why, share=look.share, tokens=look.tokens
        )
        (others if reason else taken).append(choice)
        room -= 0.0 if reason else look.tokens * look.share
    inner = [path for path in _candidates(fields) if fields[path].nested]
    others += [FieldChoice(path=p, taken=False, why=_nested(fields[p].nested)) for p in inner]
    if not taken:
        listed = "; ".join(f"{one.path}: {one.why}" for one in others)
        raise InputError(
            f"no field to encode ({listed or 'the mapping has no text field'}): name those that "
            "tell what a document is about (--fields)"
        )
    return [*taken, *others]


def named_fields(
    names: Sequence[str],
    fields: Mapping[str, MappedField],
    samples: Sequence[Mapping[str, Any]],
    *,
    counter: TokenCounter,
) -> list[FieldChoice]:
    """Take the fields that a user named, in that order.

    Raises:
        InputError: one of them is not in the mapping, holds no text, or has none of its own.
    """
    if not names:
        raise InputError("name at least one field (--fields title,text)")
    chosen = []
    for name in dict.fromkeys(names):
        _refuse_field(name, fields)
        look = _look(samples, name, counter=counter)
        why = "named" if look.share or not samples else "named; no sample has text in it"
        chosen.append(
            FieldChoice(path=name, taken=True, why=why, share=look.share, tokens=look.tokens)
        )
    if samples and not any(one.share for one in chosen):
        raise InputError(
            f"none of {len(samples)} samples has text in {' or '.join(names)}: name other fields "
            "(--fields)"
        )
    return chosen


def _refuse_field(name: str, fields: Mapping[str, MappedField]) -> None:
    field = fields.get(name)
    if field is None or name.partition(".")[0] == FUNNEL:
        known = ", ".join(p for p in _candidates(fields) if not fields[p].nested)
        raise InputError(f"no field {name!r} in the mapping; fields with text: {known or 'none'}")
    if field.nested:
        raise InputError(f"field {name!r} is {_nested(field.nested)}: name others (--fields)")
    if field.multi_of:
        raise InputError(
            f"{name!r} is another form of {field.multi_of}, and documents have only that: name "
            f"{field.multi_of}"
        )
    if field.kind == "alias":
        raise InputError(
            f"{name!r} is another name for {field.body.get('path')}, and documents have only that: "
            f"name {field.body.get('path')}"
        )
    if field.kind not in _STRINGS and name not in _candidates(fields):
        raise InputError(f"field {name!r} is of type {field.kind}, which is no text: name others")


def _candidates(fields: Mapping[str, MappedField]) -> list[str]:
    """Name the fields of documents that are searched as text, in one form or another."""
    found = {
        field.multi_of or path
        for path, field in fields.items()
        if field.kind in _TEXTS and not path.startswith(f"{FUNNEL}.")
    }
    return sorted(found)


def _look(samples: Sequence[Mapping[str, Any]], path: str, *, counter: TokenCounter) -> _Seen:
    texts = tuple(filter(None, (encoded_text(one, fields=[path]) for one in samples)))
    tokens = counter.count(texts)
    return _Seen(
        texts=texts,
        share=len(texts) / max(1, len(samples)),
        tokens=sum(tokens) / max(1, len(tokens)),
    )


def _no_text(look: _Seen, path: str, *, fields: Mapping[str, MappedField]) -> str:
    if not look.texts:
        into = [p for p, field in fields.items() if path in field.body.get("copy_to", ())]
        copied = f": it is filled from {', '.join(into)} (copy_to)" if into else ""
        return f"no sample has text in it{copied}"
    if look.share < _RARE:
        return f"only {look.share:.0%} of the samples have text in it"
    if _rank(path) < len(_BY_NAME):
        return ""
    if look.words < _ONE_WORD:
        return "one word a document, like an id or a code"
    if len(look.texts) >= _ENOUGH and look.variety < _FEW_VALUES:
        return "few different values, like a category"
    return ""


def _repeats(look: _Seen, taken: Sequence[tuple[str, _Seen]]) -> str:
    same = [path for path, other in taken if look.texts and look.texts == other.texts]
    return f"the same text as {same[0]}" if same else ""


def _reason(path: str, *, with_samples: bool) -> str:
    named = _rank(path) < len(_BY_NAME)
    if not with_samples:
        return "by its name; there are no documents to look at" if named else "a text field"
    return "text, and by its name a telling one" if named else "text"


def _rank(path: str) -> int:
    """Return where a field comes by its name: the lower, the more telling.

    Only the document's own: ``author.name`` is no title.

    Example:
        >>> [_rank(path) for path in ("title", "movieTitle", "brand_name", "author.name")]
        [0, 0, 19, 19]
    """
    word = path.lower()
    if word not in _BY_NAME:
        found = _LAST_WORD.search(path)
        word = found[0].lower() if found and "." not in path else ""
        word = "" if word in _ALONE else word
    return _BY_NAME.index(word) if word in _BY_NAME else len(_BY_NAME)


def _nested(nested: str) -> str:
    return f"inside of {nested}, of which a document has many (nested), each with its own text"
