"""Texts as padded tensors, little of them padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Texts:
    """A tokenizer with a limit.

    Args:
        tokenizer_file: a ``tokenizer.json``.
        max_tokens: where texts are cut, the model's own tokens included.
        device: where the tensors go.
    """

    def __init__(self, tokenizer_file: Path, *, max_tokens: int, device: str = "cpu") -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._max_tokens, self._device = max_tokens, device

    @property
    def vocabulary(self) -> dict[str, int]:
        """The id of each token."""
        found: dict[str, int] = self._tokenizer.get_vocab()
        return found

    @property
    def special(self) -> list[int]:
        """The ids of the tokens that stand for no text."""
        vocabulary = self.vocabulary
        return [vocabulary[token] for token in _SPECIAL if token in vocabulary]

    def tensors(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """Give ids and mask, both ``[texts, longest]``."""
        import torch

        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        shape = (len(rows), max(map(len, rows)))
        ids, mask = (torch.zeros(shape, dtype=torch.long) for _ in range(2))
        for line, row in enumerate(rows):
            ids[line, : len(row)] = torch.tensor(row)
            mask[line, : len(row)] = 1
        return ids.to(self._device), mask.to(self._device)

    def plain_rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of each text, without the model's own tokens."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def in_two_halves(self, texts: Sequence[str], encode: Callable[[Any, Any], Any]) -> Any:
        """Encode short and long texts apart: the short half is not padded to the longest of all.

        Args:
            texts: any number.
            encode: from ids and mask to one row a text.

        Returns:
            The rows in the order of the texts.
        """
        import torch

        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        half = (len(order) + 1) // 2
        parts = [
            encode(*self.tensors([texts[place] for place in order[first : first + half]]))
            for first in range(0, len(order), half)
        ]
        return torch.cat(parts)[torch.argsort(torch.tensor(order))]

    def save(self, path: Path) -> None:
        """Write the tokenizer, without a limit of its own."""
        self._tokenizer.no_truncation()
        self._tokenizer.save(str(path))
        self._tokenizer.enable_truncation(self._max_tokens)
