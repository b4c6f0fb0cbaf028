"""The write side: a document as the engine is about to store it in, its object ``funnel`` out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import orjson

from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.core.funnel_object import (
    FUNNEL,
    is_funnel_object,
    renewed,
    slot_fields,
    still_holds,
)
from opensearch_funnel.core.stage import DenseTextEncoder, SparseTextEncoder
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.pools import StageBusyError
from opensearch_funnel.service.waiting import current_asker

_MILLISECONDS = 1000
_MUST_NOT_EXIST = -4
"""``_version`` of a write that makes a new document, whatever its id will be."""


def encode(document: Mapping[str, Any], *, ready: ReadyPlan) -> dict[str, Any]:
    """Return the object ``funnel`` of a document that is being written.

    A document that brings an object made of its text, by the plan's models, keeps it: nothing is
    encoded. Nothing else of an earlier text stays. ``funnel.origin`` goes: what is written here
    is nobody's copy any more.

    A bulk request's ``upsert`` shows nothing but the part that it brings, without its id, which
    the engine merges into the document that is there. It cannot be told from a whole document
    that gets its id later. So both get an object that can be merged: sparse terms in a list,
    which takes the place of those before, and none at all where there is no text.

    Args:
        document: what is written, with the engine's ``_id``, ``_index`` and ``_version`` in it.
        ready: the plan and its models.

    Returns:
        The document's fields that change: ``funnel``, or none.

    Raises:
        InputError: the field ``funnel`` holds something of the user's own.
        StageUnavailableError: a model did not answer, or not with numbers.
    """
    plan, present = ready.plan, document.get(FUNNEL)
    dotted = any(name.startswith(f"{FUNNEL}.") for name in document)
    if dotted or (present is not None and not is_funnel_object(present)):
        raise InputError("the document has a field 'funnel', which the funnel needs for itself")
    text = encoded_text(document, fields=plan.text_fields)
    may_be_merged = document.get("_id") is None and document.get("_version") != _MUST_NOT_EXIST
    if may_be_merged and not text:
        return {}
    made = _funnel_object(text, present, key=document.get("_id") or uuid4().hex, ready=ready)
    if may_be_merged:
        made = {name: [v] if isinstance(v, Mapping) else v for name, v in made.items()}
    return {FUNNEL: made}


def encode_in_time(document: Mapping[str, Any], *, ready: ReadyPlan) -> dict[str, Any]:
    """Encode a document, as ``encode``, unless half of its time is gone already.

    Where more come than can be encoded, whoever waited long misses the deadline anyway. Work on
    them would make the next ones wait long, too, until none is done in time.

    Raises:
        StageBusyError: as said.
    """
    asker = current_asker()
    within_s = ready.plan.deadlines.encode_ms / _MILLISECONDS
    if asker is not None and asker.left_s < within_s / 2:
        raise StageBusyError("more documents come than can be encoded")
    return encode(document, ready=ready)


def as_pipeline_text(fields: Mapping[str, Any]) -> str:
    r"""Return fields as the JSON text that the ingest pipeline reads.

    The engine would take two braces for a template. They stand inside of texts only, where JSON
    can spell them another way.

    Example:
        >>> as_pipeline_text({"funnel": {"id": "{{1}}"}})
        '{"funnel":{"id":"{\\u007b1}}"}}'
    """
    return (
        orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("{{", r"{\u007b")
    )


def _funnel_object(text: str, present: Any, *, key: str, ready: ReadyPlan) -> dict[str, Any]:
    models = [m for m in (ready.models.sparse, ready.models.dense) if m is not None]
    fingerprints = [model.fingerprint for model in models]
    hashed, slot = text_hash(text), ready.plan.slot
    legs = zip(slot_fields(slot), (ready.models.sparse, ready.models.dense), strict=True)
    fields = [name for name, model in legs if text and model is not None]
    if still_holds(present, text_hash=hashed, models=fingerprints, fields=fields):
        return {**{n: v for n, v in present.items() if n != "origin"}, "id": key}
    made = _encoded(text, ready=ready) if text else {}
    return renewed(present, key=key, text_hash=hashed, models=fingerprints, slot=slot, made=made)


def _encoded(text: str, *, ready: ReadyPlan) -> dict[str, Any]:
    """Return the fields of the plan's slot."""
    sparse, dense = ready.models.sparse, ready.models.dense
    sparse_field, dense_field = slot_fields(ready.plan.slot)
    made: dict[str, Any] = {}
    if isinstance(sparse, SparseTextEncoder):
        (weights,) = sparse.encode_documents([text])
        made[sparse_field] = stored_weights(weights)
    if isinstance(dense, DenseTextEncoder):
        (vector,) = dense.encode_documents([text])
        if not np.isfinite(vector).all():
            # The engine would refuse the whole document for it.
            raise StageUnavailableError("the dense model made a vector that is no vector")
        made[dense_field] = vector
    if len(made) < sum(model is not None for model in (sparse, dense)):
        raise StageUnavailableError("a model of the plan encodes queries only")
    return made
