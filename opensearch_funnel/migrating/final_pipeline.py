"""The source's final pipeline, kept from running while a rollback carries writes back.

It ran over those documents when clients wrote them to the target, and no request can keep it out:
``pipeline=_none`` is about the default pipeline only.
"""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.engine.flat_settings import flat_settings, index_setting
from opensearch_funnel.migrating.migration import Migration

_SETTING, _OFF = "index.final_pipeline", "_none"


def take_final_pipeline_off(client: OpenSearch, migration: Migration) -> None:
    """Have no final pipeline run over what is written to the source.

    Raises:
        IndexMissingError: there is no such index.
    """
    present = index_setting(client, index=migration.source, name=_SETTING)
    if present not in {None, _OFF}:
        client.indices.put_settings(index=migration.source, body={_SETTING: _OFF})


def put_final_pipeline_back(client: OpenSearch, migration: Migration) -> None:
    """Give the source the final pipeline that it had when the migration was planned.

    Does nothing where it was not taken off, or is back already.

    Raises:
        IndexMissingError: there is no such index.
    """
    was = flat_settings(migration.snapshot.settings).get(_SETTING)
    if was == _OFF:
        return
    if index_setting(client, index=migration.source, name=_SETTING) == _OFF:
        client.indices.put_settings(index=migration.source, body={_SETTING: was})
