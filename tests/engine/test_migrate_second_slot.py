"""A model change as a migration: an index with funnel fields, there and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.source_bytes import funnel_of
from opensearch_funnel.migrating.cleanup import cleanup
from opensearch_funnel.settings import Settings
from tests.engine.migrations import film, planned, stand_in, whole
from tests.engine.switching import Migrated, migrated

pytestmark = pytest.mark.engine


@pytest.fixture
def second(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    """An index with slot a, copied into one that has slot b, too."""
    with migrated(client, engine_settings, index_name, letters=tmp_path, documents=40) as made:
        made.cut_over()
        first = made.migration
        cleanup(client, first, confirmed=first.source, letters=tmp_path)
        made.encoder = stand_in("b")
        planned(
            client,
            index_name,
            encoder=made.encoder,
            target=f"{index_name}-funnel-20261122080503",
            slots={**first.slots, "b": made.encoder.slot.meta},
            kept_slots=("a",),
        )
        made.run()
        yield made


def _funnels(client: OpenSearch, index: str) -> dict[str, Any]:
    return {key[0]: funnel_of(one.source) for key, one in whole(client, index).items()}


def test_both_slots_are_proven_and_clients_move(second: Migrated) -> None:
    report = second.verify()
    assert report.passed, report.to_dict()
    second.cutover()
    assert second.behind() == [second.target]
    made = _funnels(second.client, second.target)["d7"]
    assert {"sparse_a", "dense_a", "sparse_b", "dense_b"} <= made.keys()


@pytest.mark.parametrize("field", ["sparse_a", "sparse_b"])
def test_a_slot_that_was_emptied_is_found(second: Migrated, field: str) -> None:
    found = second.client.get(index=second.target, id="d7")
    del found["_source"]["funnel"][field]
    second.client.index(
        index=second.target,
        id="d7",
        body=found["_source"],
        params={"version": str(found["_version"]), "version_type": "external_gte"},
    )
    report = second.verify()
    assert report.failed == ["coverage"]


def test_what_clients_wrote_comes_back_with_the_old_slot_alone(second: Migrated) -> None:
    before = _funnels(second.client, second.source)
    second.cut_over()
    client, alias = second.client, second.alias
    client.update(index=alias, id="d7", body={"doc": {"price": -1}})
    client.index(index=alias, id="d8", body=film(8, edition=1))
    report = second.rollback()
    assert (report.written, report.pending) == (2, 1)
    after = _funnels(client, second.source)
    assert {name: one for name, one in after.items() if name not in {"d7", "d8"}} == {
        name: one for name, one in before.items() if name not in {"d7", "d8"}
    }
    wanted = {name: value for name, value in before["d7"].items() if name != "origin"}
    assert after["d7"] == wanted
    # A client wrote it without the funnel's fields: repair finds it, as it does any such document.
    assert after["d8"] is None
    assert report.differences == ()
