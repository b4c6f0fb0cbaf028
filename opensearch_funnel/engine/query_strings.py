"""What a person typed in the query syntaxes of ``query_string`` and ``simple_query_string``.

Only what people type into a search box is read: words, quoted phrases, words that must or must
not occur. A query with anything else of the syntax (a field, a wildcard, a range, parentheses)
is for a program to write, and is not read at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Characters that mean something in Lucene's syntax and are not read here; a sign inside a word
# (e-mail) means nothing.
_LUCENE_SYNTAX = re.compile(r"[!():^\[\]{}~*?|&/\\<>=]")
_SIMPLE_SYNTAX = re.compile(r"[()~*\\]")
# In the simple syntax a plus stands between two words, or before one.
_BETWEEN = re.compile(r"(?:^|(?<=\s))\s*([+])\s+(?=\S)")
_PIECE = re.compile(r'(?P<sign>[+\-]?)(?:"(?P<phrase>[^"]*)"(?=\s|$)|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class TypedQuery:
    """What was typed.

    Attributes:
        text: the words to look for, without those that must not occur.
        narrows: whether the syntax asks for more than some of the words: a phrase, a word that
            must occur, or one that must not.
    """

    text: str
    narrows: bool


def read_query_string(typed: str) -> TypedQuery | None:
    """Read Lucene's query syntax; ``None`` for what only a program would write.

    Example:
        >>> read_query_string('red "fox terrier" -toy')
        TypedQuery(text='red fox terrier', narrows=True)
        >>> read_query_string("fox OR hound")
        TypedQuery(text='fox hound', narrows=False)
        >>> read_query_string("title:fox") is None
        True
    """
    pieces = None if _LUCENE_SYNTAX.search(typed) else _pieces(typed)
    words: list[str] = []
    narrows = negated = False
    for piece in pieces or ():
        if not piece.is_phrase and piece.text in {"AND", "OR", "NOT"}:
            # A sign before an operator, or an operator after NOT, is no one's search.
            if piece.sign or negated:
                return None
            narrows = narrows or piece.text != "OR"
            negated = piece.text == "NOT"
            continue
        narrows = narrows or piece.is_phrase or bool(piece.sign)
        if not negated and piece.sign != "-":
            words.append(piece.text)
        negated = False
    return _typed(words, narrows=narrows)


def read_simple_query_string(typed: str) -> TypedQuery | None:
    """Read the simple query syntax; ``None`` for what only a program would write.

    Example:
        >>> read_simple_query_string("fox AND hound | cat")
        TypedQuery(text='fox AND hound cat', narrows=False)
        >>> read_simple_query_string("fox + hound")
        TypedQuery(text='fox hound', narrows=True)
    """
    if _SIMPLE_SYNTAX.search(typed):
        return None
    joined = _BETWEEN.sub(r"\1", typed.replace("|", " "))
    pieces = _pieces(joined) or []
    return _typed(
        [piece.text for piece in pieces if piece.sign != "-"],
        narrows=any(piece.is_phrase or piece.sign for piece in pieces),
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    sign: str
    text: str
    is_phrase: bool


def _pieces(typed: str) -> list[_Piece] | None:
    """Split into signed words and phrases; ``None`` where a quote or a sign is left over."""
    pieces: list[_Piece] = []
    position, end = 0, len(typed.rstrip())
    while position < end:
        if typed[position].isspace():
            position += 1
            continue
        found = _PIECE.match(typed, position)
        if found is None or found["word"] in {"+", "-"}:
            return None
        phrase = found["phrase"]
        text = found["word"] if phrase is None else phrase
        pieces.append(_Piece(found["sign"], text, is_phrase=phrase is not None))
        position = found.end()
    return pieces


def _typed(words: list[str], *, narrows: bool) -> TypedQuery | None:
    text = " ".join(" ".join(words).split())
    return TypedQuery(text=text, narrows=narrows) if text else None
