"""What was shown where and what of it was clicked, out of UBI's ``ubi_queries`` and ``ubi_events``.

UBI (User Behavior Insights) keeps searches and what people did with them. A document counts as
shown where the page logged an impression of it (``action_name``), at its
``event_attributes.position.ordinal``; whether a page begins to count at 0 or at 1 makes no
difference. Only where a page logs no impressions at all is what was shown taken from
``query_response_hit_ids``: a page that does log them has searches (suggestions while somebody
types, counts of facets) whose lists nobody saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.objects import Object, read_objects
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.training.clicks import same_query

CLICKS = frozenset({"click"})
IMPRESSION = "impression"
_Search = tuple[str, str]
"""Its id and what was asked: pages use an id again for the next search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A document at one place of a query's results, over all searches.

    Attributes:
        query: as it was typed most.
        doc_id: the document.
        position: its place, counted as the log counts.
        views: in how many searches it was there.
        clicks: in how many of these it was clicked.
    """

    query: str
    doc_id: str
    position: int
    views: int
    clicks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickLog:
    """One page's log.

    Attributes:
        application: whose page it is.
        searches: how many there were with something shown.
        shown: what, where and how often.
        findings: what could not be used.
    """

    application: str
    searches: int
    shown: tuple[Shown, ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Event:
    line: int
    query_id: str
    typed: str
    clicked: bool
    doc_id: str
    position: int | None


@dataclass(slots=True)
class _Page:
    """What one application logged of what people did."""

    events: list[_Event] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    without_document: list[int] = field(default_factory=list)

    @property
    def has_clicks(self) -> bool:
        return any(event.clicked for event in self.events)

    @property
    def has_impressions(self) -> bool:
        return not all(event.clicked for event in self.events)


@dataclass(slots=True)
class _Asked:
    """What searches asked and found, of all applications: ``ubi_queries`` may not name one."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    lists: dict[_Search, list[list[str]]] = field(default_factory=dict)
    applications: dict[str, str] = field(default_factory=dict)


def read_click_log(
    paths: Collection[Path],
    *,
    application: str | None = None,
    clicks: Collection[str] = CLICKS,
    impression: str = IMPRESSION,
) -> ClickLog:
    """Read one page's log.

    Args:
        paths: exports of ``ubi_queries`` and ``ubi_events`` as ndjson, together or apart, with or
            without the lines of a bulk request.
        application: whose events; needed where several have some, as each page has a bias of its
            own.
        clicks: the actions that count as a click.
        impression: the action that says that a document was shown.

    Raises:
        InputError: a file is missing or broken, by file and line; there are several applications,
            none of that name, no clicks, or nothing says what was shown.
    """
    pages: dict[str, _Page] = {}
    asked = _Asked()
    for path in paths:
        for line, entry in read_objects(path):
            source = entry.get("_source", entry)
            if not isinstance(source, dict):
                continue
            if "action_name" in source:
                page = pages.setdefault(str(source.get("application") or ""), _Page())
                _take(page, source, line=line, clicks=clicks, impression=impression)
            elif "user_query" in source:
                _take_query(asked, source)
    names = ", ".join(map(str, paths))
    chosen = _chosen(pages, application, where=names)
    page = pages[chosen]
    findings = Findings()
    for action, count in page.others.most_common():
        findings.add(Kind.OTHER_ACTION, f"{count} x {action}", times=count)
    for line in page.without_document:
        findings.add(Kind.NO_DOCUMENT, "no object_id", line=line)
    found = _Reading(page=page, asked=asked, application=chosen, findings=findings)
    shown, hits = found.shown_and_clicked()
    if not shown:
        raise InputError(
            f"{names}: nothing says what was shown: there are neither impressions with a position "
            "nor query_response_hit_ids, and a click alone does not tell what was passed over"
        )
    best = {key: min(texts, key=lambda t: (-texts[t], t)) for key, texts in found.spelled.items()}
    return ClickLog(
        application=chosen,
        searches=len(shown),
        shown=tuple(_summed(shown, hits=hits, best=best)),
        findings=findings.all(),
    )


def _take_query(asked: _Asked, source: Object) -> None:
    query_id, typed = _text(source, "query_id"), _text(source, "user_query")
    if not query_id or not typed:
        return
    asked.texts.setdefault(query_id, []).append(typed)
    asked.applications.setdefault(query_id, str(source.get("application") or ""))
    ids = source.get("query_response_hit_ids")
    if isinstance(ids, list) and ids:
        search = (query_id, same_query(typed))
        asked.lists.setdefault(search, []).append([str(doc_id) for doc_id in ids])


def _take(
    page: _Page, source: Object, *, line: int, clicks: Collection[str], impression: str
) -> None:
    action = source["action_name"]
    if action not in clicks and action != impression:
        page.others[str(action)] += 1
        return
    attributes = source.get("event_attributes")
    doc_id = _within(attributes, "object", "object_id")
    if isinstance(doc_id, bool) or not isinstance(doc_id, str | int) or doc_id == "":
        page.without_document.append(line)
        return
    event = _Event(
        line=line,
        query_id=_text(source, "query_id"),
        typed=_text(source, "user_query"),
        clicked=action != impression,
        doc_id=str(doc_id),
        position=_whole(_within(attributes, "position", "ordinal")),
    )
    page.events.append(event)


def _chosen(pages: Mapping[str, _Page], application: str | None, *, where: str) -> str:
    used = [name for name, page in pages.items() if page.has_clicks]
    told = ", ".join(f"{name or 'no name'!r}" for name in sorted(used)) or "none"
    if application is not None:
        if application not in used:
            raise InputError(
                f"{where}: no clicks of application {application!r}; with clicks there are: {told}"
            )
        return application
    if not used:
        raise InputError(f"{where}: no event is a click: name the action that is one by --click")
    if len(used) > 1:
        raise InputError(
            f"{where}: several applications have clicks ({told}), and each page has a bias of its "
            "own: choose one by --application"
        )
    return used[0]


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Puts one page's events together by search."""

    page: _Page
    asked: _Asked
    application: str
    findings: Findings
    spelled: dict[str, Counter[str]] = field(default_factory=dict)

    def shown_and_clicked(
        self,
    ) -> tuple[Mapping[_Search, Mapping[str, int]], set[tuple[_Search, str]]]:
        """Return the places of what each search showed, and what of it was clicked."""
        shown: dict[_Search, dict[str, int]] = {}
        clicked: list[tuple[_Search, _Event]] = []
        for event in self.page.events:
            search = self._search_of(event)
            if search is None:
                continue
            if event.clicked:
                clicked.append((search, event))
            elif event.position is None:
                example = f"document {event.doc_id!r}"
                self.findings.add(Kind.NO_POSITION, example, line=event.line)
            else:
                shown.setdefault(search, {}).setdefault(event.doc_id, event.position)
        if not self.page.has_impressions:
            shown = self._by_lists()
        hits: set[tuple[_Search, str]] = set()
        for search, event in clicked:
            if event.doc_id in shown.get(search, {}):
                hits.add((search, event.doc_id))
            elif shown:
                example = f"document {event.doc_id!r}, query {search[1]!r:.40}"
                self.findings.add(Kind.CLICK_NOT_SHOWN, example, line=event.line)
        return shown, hits

    def _search_of(self, event: _Event) -> _Search | None:
        """Return the search of an event; what the event itself says was typed comes first."""
        texts = [event.typed] if event.typed else self.asked.texts.get(event.query_id, [])
        meant = {same_query(text) for text in texts}
        example = f"query_id {event.query_id!r}"
        if not event.query_id or not meant:
            self.findings.add(Kind.SEARCH_WITHOUT_TEXT, example, line=event.line)
            return None
        if len(meant) > 1:
            self.findings.add(Kind.SEARCH_OF_TWO, example, line=event.line)
            return None
        query = meant.pop()
        self.spelled.setdefault(query, Counter()).update(texts[:1])
        return event.query_id, query

    def _by_lists(self) -> dict[_Search, dict[str, int]]:
        shown: dict[_Search, dict[str, int]] = {}
        for search, lists in self.asked.lists.items():
            query_id, query = search
            if self.asked.applications[query_id] not in {"", self.application}:
                continue
            same = (text for text in self.asked.texts[query_id] if same_query(text) == query)
            self.spelled.setdefault(query, Counter()).update(same)
            self.findings.add(Kind.SHOWN_BY_LIST, f"query_id {query_id!r}")
            places: dict[str, int] = {}
            for position, doc_id in enumerate(lists[0], start=1):
                places.setdefault(doc_id, position)
            shown[search] = places
            for doc_id in sorted({doc_id for later in lists[1:] for doc_id in later} - set(places)):
                self.findings.add(Kind.LATER_PAGE, f"document {doc_id!r} of query_id {query_id!r}")
        return shown


def _summed(
    shown: Mapping[_Search, Mapping[str, int]],
    *,
    hits: Collection[tuple[_Search, str]],
    best: Mapping[str, str],
) -> Iterator[Shown]:
    views: Counter[tuple[str, str, int]] = Counter()
    clicks: Counter[tuple[str, str, int]] = Counter()
    for search, places in shown.items():
        for doc_id, position in places.items():
            views[search[1], doc_id, position] += 1
            clicks[search[1], doc_id, position] += (search, doc_id) in hits
    for key, count in sorted(views.items()):
        query, doc_id, position = key
        yield Shown(
            query=best[query], doc_id=doc_id, position=position, views=count, clicks=clicks[key]
        )


def _text(source: Object, name: str) -> str:
    value = source.get(name)
    return value.strip() if isinstance(value, str) else ""


def _within(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if float(value).is_integer() else None
