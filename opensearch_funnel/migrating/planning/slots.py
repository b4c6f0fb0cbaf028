"""Which slots of funnel fields the target has: a new one, and those that the source has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import FUNNEL, READY
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.encoders.manifest import Kind, Manifest
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.engine.indices import EncodedBy, Slot
from opensearch_funnel.migrating.planning.source import Source

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_FEW = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotModels:
    """The models of the slot that a migration fills.

    Attributes:
        sparse: fills the sparse field; ``None`` for none.
        dense: fills the dense field; ``None`` for none.
        max_tokens: where they cut texts; 0 for each one's own limit.
    """

    sparse: Manifest | None
    dense: Manifest | None
    max_tokens: int = 0

    @property
    def manifests(self) -> list[Manifest]:
        """Those that there are."""
        return [one for one in (self.sparse, self.dense) if one is not None]

    @property
    def limit(self) -> int:
        """How many tokens of a text every one of them reads."""
        return min(one.max_tokens for one in self.manifests)

    def slot(self, name: str) -> Slot:
        """Return the slot that they fill."""
        sparse, dense = self.sparse, self.dense
        return Slot(
            name=name,
            sparse=self._by(sparse) if sparse else None,
            dense=self._by(dense) if dense else None,
            dimension=dense.dimension if dense else 0,
        )

    def _by(self, manifest: Manifest) -> EncodedBy:
        return EncodedBy(
            model=manifest.name,
            fingerprint=manifest.fingerprint(),
            max_tokens=self.max_tokens,
        )


def read_models(sparse: str, dense: str, *, max_tokens: int) -> SlotModels:
    """Read what is known of the models of a slot, without opening them.

    Args:
        sparse: a name of ``models list``; empty for none.
        dense: the same.
        max_tokens: where longer texts are cut; 0 for each model's own limit.

    Raises:
        InputError: there is no such model, it is of another kind, it cannot read that much, or
            there is none at all.
    """
    if not sparse and not dense:
        raise InputError("a slot needs a sparse or a dense model, or both")
    return SlotModels(
        sparse=_model(sparse, "splade", max_tokens=max_tokens) if sparse else None,
        dense=_model(dense, "dense", max_tokens=max_tokens) if dense else None,
        max_tokens=max_tokens,
    )


def refuse_slot_name(name: str) -> None:
    """Refuse a name that would not fit into the fields' names.

    Raises:
        InputError: as said.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"slot {name!r}: name it by a letter, such as a or b")


def kept_slots(source: Source, *, slot: Slot, shards: int) -> tuple[str, ...]:
    """Return the slots of the source whose fields the target takes over.

    Args:
        source: the index; it may have slots.
        slot: the one that the migration fills.
        shards: how many the target is to have.

    Raises:
        InputError: the slot is another model's already, or nothing is to be done.
    """
    present: Mapping[str, Any] = source.funnel_meta.get("slots", {})
    theirs = present.get(slot.name)
    others = tuple(name for name in present if name != slot.name)
    if theirs is None:
        return others
    if theirs != slot.meta:
        free = next(letter for letter in "abcdefgh" if letter not in present)
        raise InputError(
            f"slot {slot.name!r} of {source.name} was filled by {_models(theirs)}, and searches "
            f"rely on that until they are switched: fill another one (--slot {free})"
        )
    if shards == source.shards:
        raise InputError(
            f"{source.name} is a funnel index already, and slot {slot.name!r} was filled by "
            f"{_models(theirs)}: there is nothing to migrate; for other models take another slot "
            "(--slot), for more shards say how many (--shards); documents that are not encoded "
            f"yet: funnel migrate repair {source.alias}"
        )
    return others


def share_that_holds(
    samples: Sequence[Mapping[str, Any]], *, text_fields: Sequence[str]
) -> float | None:
    """Return how many of the encoded samples were encoded from the text of these fields.

    Returns:
        A share from 0 to 1; ``None`` where no sample is encoded.

    Example:
        >>> made = {"state": "ready", "hash": text_hash("Heat")}
        >>> share_that_holds([{"title": "Heat", "funnel": made}, {}], text_fields=["title"])
        1.0
    """
    ready = [
        one
        for one in samples
        if isinstance(one.get(FUNNEL), Mapping) and one[FUNNEL].get("state") == READY
    ]
    if not ready:
        return None
    same = [
        one
        for one in ready
        if one[FUNNEL].get("hash") == text_hash(encoded_text(one, fields=text_fields))
    ]
    return len(same) / len(ready)


def refuse_other_texts(
    source: Source, samples: Sequence[Mapping[str, Any]], *, text_fields: Sequence[str]
) -> list[str]:
    """Refuse fields other than those that the slots of the source were made from.

    A document has one text and one hash of it. Of another text, the fields that are there would
    not be taken over, and searches that rely on them find nothing.

    Returns:
        Risks: a part of the documents has changed since it was encoded.

    Raises:
        InputError: as said.
    """
    share = share_that_holds(samples, text_fields=text_fields)
    if not source.funnel_meta.get("slots") or share is None or share >= _FEW:
        return []
    if share == 0.0:
        raise InputError(
            f"the documents of {source.name} were encoded from other fields than "
            f"{', '.join(text_fields)}: name the same ones (--fields)"
        )
    changed = (
        f"{1 - share:.0%} of the encoded samples have changed since they were encoded: the fields "
        f"of other slots are left out there until they are (funnel migrate repair {source.alias})"
    )
    return [changed]


def _model(name: str, kind: Kind, *, max_tokens: int) -> Manifest:
    manifest = load_manifest(name, max_tokens=max_tokens)
    if manifest.kind != kind:
        raise InputError(f"model {name} is no {kind} model: see funnel models list")
    return manifest


def _models(meta: Mapping[str, Any]) -> str:
    return " and ".join(f"{by['model']} ({by['fingerprint']})" for by in meta.values())
