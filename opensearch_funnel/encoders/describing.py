"""What a model's own files say of it: its kind, how it pools, its prefixes and limits.

The files are those that ``transformers``, ``sentence-transformers``, ColBERT and PyLate save beside
the weights. What they do not say is left for the user to say.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.manifest import Kind, Pooling, QueryWeights, TokenVectors

DESCRIPTIONS = (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
    "artifact.metadata",
    "README.md",
)
"""Files that are read to describe a model and not kept."""

LONGEST = 512
"""Tokens that a text may have where no file says less."""
_ENDLESS = 1_000_000
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^license:\s*['\"]?([^'\"\n#]+?)['\"]?\s*$", re.MULTILINE)
_LANGUAGES = re.compile(r"^language:[ \t]*((?:[^\n]+|(?:\n[ \t]*-[^\n]*)+))", re.MULTILINE)
_PREFIXED_ROLES = {"query": ("query",), "document": ("document", "passage", "corpus")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a model is, as far as its files say it.

    Attributes:
        kind: what it computes.
        evidence: which file says so, for the user to judge.
        licence: of the weights; empty if the model's page does not name it.
    """

    kind: Kind
    evidence: str
    pooling: Pooling
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int = LONGEST
    unit_length: bool = True
    query_weights: QueryWeights = "model"
    token_vectors: TokenVectors | None = None
    licence: str = ""
    languages: tuple[str, ...] = ()


def describe(folder: Path, *, kind: Kind | None = None) -> Description:
    """Read what a model's files say.

    Args:
        folder: holds some of ``DESCRIPTIONS``, and ``idf.json`` where the model has one.
        kind: what it computes, where the user says so.

    Raises:
        ModelError: a file is broken, says something that the funnel cannot run, or no file says
            what the model computes.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> text = '{"architectures": ["BertForSequenceClassification"], "num_labels": 1}'
        >>> _ = (folder / "config.json").write_text(text)
        >>> found = describe(folder)
        >>> found.kind, found.evidence
        ('cross_encoder', 'config.json: BertForSequenceClassification')
    """
    files = _Files(folder)
    found, evidence = (kind, "--kind") if kind is not None else _kind(files)
    plain = Description(
        kind=found,
        evidence=evidence,
        pooling="max",
        max_tokens=files.max_tokens(),
        licence=files.card(_LICENCE),
        languages=files.languages(),
    )
    match found:
        case "splade":
            idf = (folder / "idf.json").is_file()
            return replace(plain, query_weights="idf" if idf else "model")
        case "cross_encoder":
            _check_labels(files.config)
            return replace(plain, pooling="pair")
        case "token_vectors":
            return _late_interaction(files, plain)
        case "dense":
            return _dense(files, plain)


@dataclass(frozen=True, slots=True)
class _Files:
    """The small files of a model, read when they are asked for; empty where there are none."""

    folder: Path
    _read: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> Mapping[str, Any]:
        content = self._json(name)
        if not isinstance(content, dict):
            raise ModelError(f"{name} of the model is no JSON object")
        return content

    def _json(self, name: str) -> Any:
        if name not in self._read:
            path = self.folder / name
            try:
                self._read[name] = json.loads(path.read_bytes()) if path.is_file() else {}
            except ValueError as error:
                raise ModelError(f"cannot read {name} of the model: {error}") from error
        return self._read[name]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.table("config.json")

    @property
    def sentence(self) -> Mapping[str, Any]:
        return self.table("config_sentence_transformers.json")

    def modules(self) -> list[str]:
        """The classes of the stages of a sentence-transformers model, without their package."""
        content = self._json("modules.json")
        stages = content if isinstance(content, list) else []
        return [str(stage.get("type", "")) for stage in stages if isinstance(stage, dict)]

    def max_tokens(self) -> int:
        limits = [
            self.table("sentence_bert_config.json").get("max_seq_length"),
            self.table("tokenizer_config.json").get("model_max_length"),
            self._positions(),
        ]
        known = [int(n) for n in limits if isinstance(n, int | float) and 0 < n < _ENDLESS]
        return min([*known, LONGEST])

    def _positions(self) -> int | None:
        positions = self.config.get("max_position_embeddings")
        if not isinstance(positions, int):
            return None
        # RoBERTa's first position is behind its padding's.
        behind = "roberta" in str(self.config.get("model_type"))
        return positions - int(self.config.get("pad_token_id") or 0) - 1 if behind else positions

    def card(self, pattern: re.Pattern[str]) -> str:
        """Return what the head of the model's page says; empty if it does not."""
        path = self.folder / "README.md"
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        front = _FRONT_MATTER.match(text)
        named = pattern.search(front[1]) if front else None
        return named[1] if named else ""

    def languages(self) -> tuple[str, ...]:
        return tuple(re.findall(r"[a-z]{2,3}", self.card(_LANGUAGES)))

    def prefix(self, role: str) -> str:
        prompts = self.sentence.get("prompts")
        if not isinstance(prompts, dict):
            return ""
        names = _PREFIXED_ROLES[role]
        return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _kind(files: _Files) -> tuple[Kind, str]:
    stages = " ".join(files.modules())
    matched = files.sentence.get("similarity_fn_name") == "MaxSim"
    signs: list[tuple[bool, Kind, str]] = [
        ((files.folder / "idf.json").is_file(), "splade", "idf.json: queries need no inference"),
        ((files.folder / "artifact.metadata").is_file(), "token_vectors", "artifact.metadata"),
        ("pylate" in stages or matched, "token_vectors", "modules.json of PyLate"),
        ("SpladePooling" in stages, "splade", "modules.json: SpladePooling"),
        ("Pooling" in stages, "dense", "modules.json: Pooling"),
    ]
    for name in (str(a) for a in files.config.get("architectures") or ()):
        evidence = f"config.json: {name}"
        signs += [
            ("ColBERT" in name, "token_vectors", evidence),
            (name.endswith("ForSequenceClassification"), "cross_encoder", evidence),
            (name.endswith("ForMaskedLM"), "splade", evidence),
        ]
    for is_there, kind, evidence in signs:
        if is_there:
            return kind, evidence
    raise ModelError("no file of the model says what it computes: say --kind")


def _check_labels(config: Mapping[str, Any]) -> None:
    labels = config.get("num_labels") or len(config.get("id2label") or {"0": ""})
    if labels not in (1, 2):
        raise ModelError(f"config.json: a classifier of {labels} classes is no cross-encoder")


def _dense(files: _Files, plain: Description) -> Description:
    stages = [name.rsplit(".", 1)[-1] for name in files.modules()]
    if "Dense" in stages:
        raise ModelError("modules.json: a dense layer behind the pooling is not supported")
    similarity = files.sentence.get("similarity_fn_name")
    return replace(
        plain,
        pooling=_pooling(files.table("1_Pooling/config.json")),
        query_prefix=files.prefix("query"),
        document_prefix=files.prefix("document"),
        unit_length="Normalize" in stages or similarity not in ("dot", "dot_product"),
    )


def _pooling(config: Mapping[str, Any]) -> Pooling:
    """Read how a model pools, in the old form (a switch for each) or the new (one name)."""
    wanted = [str(config["pooling_mode"])] if "pooling_mode" in config else []
    wanted += [
        name.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    match wanted or ["mean"]:
        case ["cls"]:
            return "cls"
        case ["mean"]:
            return "mean"
        case _:
            raise ModelError(
                f"1_Pooling/config.json: pooling {' + '.join(wanted)} is not supported"
            )


def _late_interaction(files: _Files, plain: Description) -> Description:
    sentence, colbert = files.sentence, files.table("artifact.metadata")
    length = colbert.get("query_maxlen") or sentence.get("query_length") or 32
    expands = sentence.get("do_query_expansion", True)
    skipped = sentence.get("skiplist_words")
    if skipped is None:
        skipped = list(string.punctuation) if colbert.get("mask_punctuation", True) else []
    longest = colbert.get("doc_maxlen") or sentence.get("document_length") or plain.max_tokens
    return replace(
        plain,
        max_tokens=int(longest),
        pooling="none",
        token_vectors=TokenVectors(
            query_marker=str(
                colbert.get("query_token_id") or sentence.get("query_prefix") or ""
            ).strip(),
            document_marker=str(
                colbert.get("doc_token_id") or sentence.get("document_prefix") or ""
            ).strip(),
            query_tokens=int(length) if expands else 0,
            skipped=tuple(str(word) for word in skipped),
        ),
    )
