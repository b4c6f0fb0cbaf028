"""What a model is, where its files come from, and what they must hash to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from opensearch_funnel.core.errors import InputError

Kind = Literal["splade", "dense", "cross_encoder", "token_vectors"]
Pooling = Literal["max", "cls", "mean", "pair", "none"]
Precision = Literal["fp32", "int8", "fp16", "bf16"]
QueryWeights = Literal["model", "idf"]
Api = Literal["openai", "cohere", "tei"]
Output = Literal["float", "int8", "binary"]
SourceKind = Literal["folder", "hub", "maven", "wheel"]


PROJECTION = "projection.safetensors"
"""A second file of weights: what PyLate keeps apart from the body."""


def is_weights(name: str) -> bool:
    """Say whether a file holds a model's weights.

    Example:
        >>> is_weights("model.safetensors"), is_weights("tokenizer.json")
        (True, False)
    """
    return name.endswith((".safetensors", ".onnx")) and name != PROJECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model, as it lies in ``FUNNEL_HOME/models/<name>/``."""

    name: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that a model's files can come from.

    ``address`` is a folder (relative to the manifest's own), a repository of the Hugging Face Hub,
    Maven coordinates ``group:artifact:version``, or a requirement ``package==version``.
    ``entries`` says what each file is called there, where that differs.
    """

    kind: SourceKind
    address: str
    revision: str | None = None
    entries: Mapping[str, str]

    def entry(self, file: ModelFile) -> str:
        """Return what the file is called at this source."""
        return self.entries.get(file.name, file.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A hosted model behind HTTP."""

    api: Api
    url: str
    model: str
    """What it is called there."""
    key_variable: str
    """The environment variable that holds the key; empty for none."""
    output: Output
    batch: int
    """Most texts of one request."""
    price_per_million: float
    """Of tokens, in the provider's currency; 0 if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVectors:
    """How a late-interaction model marks, pads and skips tokens.

    Source: Santhanam et al., ColBERTv2 (arXiv 2112.01488), section 3.
    """

    query_marker: str
    """Token that follows the first one of a query, for example ``[unused0]``; empty for none."""
    document_marker: str
    query_tokens: int
    """Queries are filled up with ``[MASK]`` to so many tokens; 0 to leave them as they are."""
    skipped: tuple[str, ...]
    """Tokens of a document that get no vector: punctuation, mostly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a graph in fp32 is from the model that it was made of."""

    against: str
    """What ran the model, with versions."""
    greatest: float
    """The greatest absolute difference of any number, over texts alone and padded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one precision did against fp32 on a data set, side by side in one run."""

    precision: Precision
    dataset: str
    ndcg: float
    """nDCG@10 of this precision."""
    reference: float
    """nDCG@10 of fp32 on the same queries."""
    kendall_tau: float
    """Mean of Kendall's tau-b between the two orders of each query's 100 best documents."""
    speed: float
    """Texts a second, as a multiple of fp32's."""

    @property
    def loss(self) -> float:
        """Share of fp32's nDCG that is lost; below zero where it gained."""
        return 1 - self.ndcg / self.reference if self.reference else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model: what it does, its limits, its files and every source of them, in order."""

    name: str
    kind: Kind
    pooling: Pooling
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int
    dimension: int
    """Length of a vector, terms of the vocabulary, or 1 for a score."""
    licence: str
    description: str = ""
    languages: tuple[str, ...] = ()
    """ISO 639 codes of what it was trained on, where that is known."""
    precisions: tuple[Precision, ...]
    """What the model can run in; the first is the default."""
    redraw: bool = False
    """Whether an ``.onnx`` file is read for its weights only, and its graph drawn anew."""
    query_weights: QueryWeights = "model"
    """What weighs a query's terms: the model, or the table ``idf.json`` alone (``splade``)."""
    unit_length: bool = True
    """Whether vectors are made of length 1 (``dense``)."""
    cut_from: int = 0
    """Length of the model's own vectors where ``dimension`` is less (Matryoshka), else 0."""
    token_vectors: TokenVectors | None = None
    endpoint: Endpoint | None = None
    """Where vectors are computed, if not here; then there are no files."""
    parity: Parity | None = None
    """None where the graph was not compared: that needs torch."""
    verdicts: tuple[Verdict, ...] = ()
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    folder: Path
    """Where the manifest was found: relative folders of sources start here."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(f.size for f in self.files)

    @property
    def weights(self) -> ModelFile:
        """The file that holds the weights: ``.safetensors``, or a ready ``.onnx`` graph."""
        return next(f for f in self.files if is_weights(f.name))

    def precision(self, wanted: str | None = None) -> Precision:
        """Return the precision to run in.

        Args:
            wanted: ``fp32`` or ``int8``; the manifest's default if not given.

        Raises:
            InputError: the model cannot run in that precision.
        """
        if wanted is None:
            return self.precisions[0]
        if wanted not in self.precisions:
            raise InputError(
                f"model {self.name} has no precision {wanted!r}: use {' or '.join(self.precisions)}"
            )
        return self.precisions[self.precisions.index(wanted)]

    def fingerprint(self, precision: str | None = None) -> str:
        """Return the name of everything that decides what the model's numbers are.

        The first 12 hex digits of SHA-256 over the hashes of the files, pooling, prefixes, token
        limit and precision. Two encodings with one fingerprint may live in one field.

        Args:
            precision: ``fp32`` or ``int8``; the manifest's default if not given.
        """
        decisive = {
            "files": sorted((f.name, f.sha256) for f in self.files),
            "pooling": self.pooling,
            "prefixes": [self.query_prefix, self.document_prefix],
            "max_tokens": self.max_tokens,
            "precision": self.precision(precision),
        }
        # What came later counts only where it is used: fingerprints of before stay what they were.
        decisive |= self._later_decisive()
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _later_decisive(self) -> dict[str, Any]:
        later: dict[str, Any] = {}
        if self.query_weights != "model":
            later["query_weights"] = self.query_weights
        if not self.unit_length:
            later["unit_length"] = False
        if self.cut_from:
            later["dimension"] = self.dimension
        if self.token_vectors is not None:
            later["token_vectors"] = asdict(self.token_vectors)
        if self.endpoint is not None:
            later["endpoint"] = [self.endpoint.api, self.endpoint.model, self.endpoint.output]
            later["dimension"] = self.dimension
        return later
