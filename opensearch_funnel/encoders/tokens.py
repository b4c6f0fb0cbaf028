"""Text to token ids, with ``tokenizers`` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_funnel.core.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = list[int]

_CHARACTERS_PER_TOKEN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLayout:
    """Where a tokenizer puts its own tokens around the two texts of a pair."""

    before: Ids
    between: Ids
    after: Ids
    types: tuple[int, int, int, int, int]
    """Token types of: before, first text, between, second text, after."""

    @property
    def overhead(self) -> int:
        """How many tokens are the tokenizer's own."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTokenizer:
    """A model's tokenizer, with its limit; safe to call from several threads."""

    tokenizer: Tokenizer
    plain: Tokenizer
    """The same without a limit and without the tokenizer's own tokens around a text."""
    max_tokens: int
    padding_id: int

    @property
    def own_tokens(self) -> int:
        """How many tokens of a single text are the tokenizer's own."""
        count: int = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        return count

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Turn texts into ids, with the model's own tokens, cut to ``max_tokens``.

        A text far longer than ``max_tokens`` could ever use is cut before, so that a huge one
        costs little; lone surrogates, which are no text, become question marks.
        """
        clean = [self._clean(text) for text in texts]
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(clean)]

    def encode_plain(self, texts: Sequence[str]) -> list[Ids]:
        """Turn texts into ids without the model's own tokens, cut to ``max_tokens``."""
        clean = [self._clean(text) for text in texts]
        encodings = self.plain.encode_batch_fast(clean, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def id_of(self, token: str) -> int | None:
        """Return the id of a token; None if the vocabulary lacks it."""
        found: int | None = self.tokenizer.token_to_id(token)
        return found

    def special_ids(self) -> list[int]:
        """Return the ids of the tokens that stand for no text."""
        added = self.tokenizer.get_added_tokens_decoder()
        return sorted(i for i, token in added.items() if token.special)

    def vocabulary(self) -> list[str]:
        """Return the token string of each id."""
        by_token = self.tokenizer.get_vocab(with_added_tokens=True)
        tokens = [""] * (max(by_token.values()) + 1)
        for token, i in by_token.items():
            tokens[i] = token
        return tokens

    def pair_layout(self) -> PairLayout:
        """Find out how this tokenizer joins two texts.

        Raises:
            ModelError: it does not join pairs in the usual form.
        """
        encoding = self.plain.encode("a", "a")
        own, ids, types = encoding.special_tokens_mask, encoding.ids, encoding.type_ids
        texts = [i for i, is_own in enumerate(own) if not is_own]
        if len(texts) != 2:  # noqa: PLR2004 - one token for each text
            raise ModelError("the tokenizer does not join pairs of texts")
        first, second = texts

        def type_at(i: int, otherwise: int) -> int:
            return types[i] if 0 <= i < len(types) else otherwise

        return PairLayout(
            before=ids[:first],
            between=ids[first + 1 : second],
            after=ids[second + 1 :],
            types=(
                type_at(first - 1, types[first]),
                types[first],
                type_at(first + 1, types[first]),
                types[second],
                type_at(second + 1, types[second]),
            ),
        )

    def _clean(self, text: str) -> str:
        text = text[: self.max_tokens * _CHARACTERS_PER_TOKEN]
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def open_tokenizer(path: Path, *, max_tokens: int) -> TextTokenizer:
    """Open a ``tokenizer.json``.

    Args:
        path: the file; its own limit and padding are replaced.
        max_tokens: the most tokens of a text, the model's own included.

    Raises:
        ModelError: the file is no tokenizer.
        MissingExtraError: ``tokenizers`` is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", extra="cpu") from error
    try:
        tokenizer, plain = Tokenizer.from_file(str(path)), Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelError(f"cannot read {path.name}: {error}") from error
    padding = tokenizer.padding["pad_id"] if tokenizer.padding else None
    for each in (tokenizer, plain):
        each.no_padding()
        each.enable_truncation(max_tokens)
    if padding is None:
        padding = next(
            (i for t in ("[PAD]", "<pad>") if (i := tokenizer.token_to_id(t)) is not None), 0
        )
    return TextTokenizer(
        tokenizer=tokenizer, plain=plain, max_tokens=max_tokens, padding_id=int(padding)
    )
