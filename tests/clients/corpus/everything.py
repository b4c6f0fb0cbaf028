"""The whole corpus: what every module of this folder lists."""

from __future__ import annotations

from tests.clients.corpus import (
    by_query_jobs,
    dashboards_discover,
    dashboards_panels,
    dsl,
    haystack,
    langchain,
    low_level,
    query_types,
    scrolling,
    search_conditions,
    search_facets,
    search_paging,
    search_views,
    search_words,
    several_indices,
)
from tests.clients.requests import ClientRequest, Job

REQUESTS: tuple[ClientRequest, ...] = (
    *search_words.REQUESTS,
    *search_conditions.REQUESTS,
    *search_facets.REQUESTS,
    *search_views.REQUESTS,
    *search_paging.REQUESTS,
    *low_level.REQUESTS,
    *dsl.REQUESTS,
    *scrolling.REQUESTS,
    *query_types.REQUESTS,
    *dashboards_discover.REQUESTS,
    *dashboards_panels.REQUESTS,
    *langchain.REQUESTS,
    *haystack.REQUESTS,
    *several_indices.REQUESTS,
)
JOBS: tuple[Job, ...] = by_query_jobs.JOBS
