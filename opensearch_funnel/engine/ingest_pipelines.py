"""The ingest pipeline that gives documents their funnel fields while they are written.

A pure function of a plan. No document is lost to it: where the service does not answer, or not
with what is wanted, the document is written without the fields, marked as pending.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opensearch_funnel.core.funnel_object import FUNNEL, PENDING, slot_fields
from opensearch_funnel.core.plan import FunnelPlan

Body = dict[str, Any]

ANSWER = "funnel_answer"
"""The field of a document that holds the service's answer until it is read: JSON as text. The
engine takes what a model answers for templates and would fill every ``{{…}}`` in an object."""

# With two braces the engine writes an id as JSON would: a quote in it gets a backslash.
_ID = {"field": f"{FUNNEL}.id", "value": "{{{_id}}}", "ignore_empty_value": True}


def ingest_pipeline(
    plan: FunnelPlan, *, encode_model: str, theirs: str = "", slots: Iterable[str] = ()
) -> Body:
    """Return the ingest pipeline of a plan's index.

    ``ignore_failure`` is of no use here: in a bulk request the engine rejects the document all
    the same. ``on_failure`` is, and only on our own processors, so that a document which another
    pipeline refuses is still refused.

    Args:
        plan: the plan; its slot is the one that is filled.
        encode_model: id of the remote model that answers ``/encode``.
        theirs: the pipeline that the index ran before, which comes first; empty for none.
        slots: further slots of the index, which must not keep what was made of an older text.

    Example:
        >>> body = ingest_pipeline(FunnelPlan(alias="films"), encode_model="M", theirs="dates")
        >>> [next(iter(processor)) for processor in body["processors"]]
        ['pipeline', 'ml_inference', 'json', 'remove']
    """
    pending = _pending(slots={plan.slot, *slots})
    nothing = {"set": {"field": ANSWER, "value": "{}"}}
    return {
        "description": f"opensearch-funnel {plan.plan_id}",
        "processors": [
            *([{"pipeline": {"name": theirs}}] if theirs else []),
            {
                "ml_inference": {
                    "model_id": encode_model,
                    "input_map": [{"doc": "$"}],
                    "output_map": [{ANSWER: FUNNEL}],
                    "override": True,
                    "on_failure": [*pending, nothing],
                }
            },
            # Whole fields are replaced: nothing of an older object stays.
            {"json": {"field": ANSWER, "add_to_root": True, "on_failure": pending}},
            {"remove": {"field": ANSWER, "ignore_missing": True}},
        ],
    }


def _pending(*, slots: Iterable[str]) -> list[Body]:
    """Return what marks a document that was not encoded, and leaves a field of the user's own.

    A user's text in the place of the object fails the document, as its mapping would.
    """
    legs = [name for slot in sorted(slots) for name in slot_fields(slot)]
    old = [f"{FUNNEL}.{name}" for name in ("id", "origin", "model", "hash", *legs)]
    return [
        {"set": {"field": FUNNEL, "value": {}, "override": False}},
        {"remove": {"field": old, "ignore_missing": True}},
        {"set": dict(_ID)},
        {"set": {"field": f"{FUNNEL}.state", "value": PENDING}},
    ]
