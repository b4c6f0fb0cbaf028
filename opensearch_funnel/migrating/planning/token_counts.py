"""How many tokens texts have: by a model's tokenizer, or about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.tokens import TextTokenizer, open_tokenizer

_TOKENS_PER_WORD = 1.3
_LONGEST = 100_000


class TokenCounter(Protocol):
    """Counts tokens of texts."""

    @property
    def name(self) -> str:
        """Whose tokens they are."""
        ...

    @property
    def own(self) -> int:
        """How many tokens a model adds to each text, which count towards its limit."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        ...


class WordCounter:
    """Tokens by the number of words, without a model.

    Example:
        >>> WordCounter().count(["a thief and a detective", ""])
        [6, 0]
    """

    name = "estimated from words"
    own = 2

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return about how many tokens each text has."""
        return [round(_TOKENS_PER_WORD * len(text.split())) for text in texts]


class ModelCounter:
    """Tokens as a model's tokenizer makes them, however long the text is."""

    def __init__(self, name: str, tokenizer: TextTokenizer) -> None:
        self.name = name
        self.own = tokenizer.own_tokens
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, the model's own left out."""
        return [len(ids) for ids in self._tokenizer.encode_plain(list(texts))]


def open_counter(manifest: Manifest, *, progress: Progress = SILENT) -> TokenCounter:
    """Open the tokenizer of a model; its files are fetched if they are not here.

    Raises:
        ModelError: the files cannot be fetched or read.
        MissingExtraError: ``tokenizers`` is not installed.
    """
    folder = pull(manifest, progress=progress)
    tokenizer = open_tokenizer(folder / "tokenizer.json", max_tokens=_LONGEST)
    return ModelCounter(manifest.name, tokenizer)
