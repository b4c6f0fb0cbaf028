"""Requests out of bytes: whole or in pieces, good or bad."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.service.supervisor.answers import forwarded_request
from opensearch_funnel.service.supervisor.reading import (
    Limits,
    Refusal,
    Request,
    RequestReader,
)

LIMITS = Limits(head=1000, headers=10, body=2000)
TWO = (
    b"POST /v1/plans/p/rank?x=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\nTrailer: dropped\r\n\r\n'
    b"GET /health HTTP/1.0\r\nX-Long: " + b"y" * 300 + b"\r\n\r\n"
)


def read(*parts: bytes) -> list[Request | Refusal]:
    reader = RequestReader(limits=LIMITS, clock=lambda: 0.0)
    return [found for part in parts for found in reader.feed(part)]


def refused(raw: bytes) -> int:
    *_, last = read(raw)
    assert isinstance(last, Refusal)
    return last.status


@given(st.lists(st.integers(0, len(TWO)), max_size=8))
def test_the_same_requests_come_out_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TWO)]
    found = read(*(TWO[a:b] for a, b in pairwise(edges)))
    assert found == read(TWO)


def test_a_request_is_what_was_sent() -> None:
    rank, health = read(TWO)
    assert isinstance(rank, Request)
    assert isinstance(health, Request)
    assert (rank.method, rank.path, rank.target) == (
        b"POST",
        b"/v1/plans/p/rank",
        b"/v1/plans/p/rank?x=1",
    )
    assert rank.body == b'{"a": 1}'
    assert rank.header(b"host") == b"a"
    assert rank.header(b"trailer") is None
    assert rank.keep_alive
    assert health.version == "1.0"
    assert not health.keep_alive


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 2000, 431),
        (b"GET /" + b"y" * 2000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 11 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 2001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d1\r\n" + b"x" * 2001, 413),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
    ],
)
def test_what_is_no_request_is_refused_with_the_status_that_says_why(
    raw: bytes, status: int
) -> None:
    assert refused(raw) == status


def test_a_head_that_never_ends_is_refused_before_it_fills_memory() -> None:
    found = read(b"GET / HTTP/1.1\r\nX: ", *([b"y" * 100] * 50))
    assert [type(one) for one in found] == [Refusal]


def test_nothing_comes_after_a_refusal_and_all_that_came_before_it() -> None:
    first, second = read(b"GET / HTTP/1.1\r\n\r\nnonsense\r\n", b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(first, Request)
    assert isinstance(second, Refusal)


def test_a_client_that_waits_for_leave_to_send_its_body_is_noticed() -> None:
    reader = RequestReader(limits=LIMITS)
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    told = reader.wants_continue
    [request] = reader.feed(b"ok")
    assert (told, reader.wants_continue) == (True, False)
    assert isinstance(request, Request)
    assert b"expect" not in forwarded_request(request, request_id=b"1")[0]


def test_only_the_supervisors_word_on_length_and_id_goes_to_the_worker() -> None:
    [request] = read(
        b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        b"X-Request-Id: theirs\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    )
    assert isinstance(request, Request)
    assert b"".join(forwarded_request(request, request_id=b"ours")) == (
        b"POST /x HTTP/1.1\r\nhost: a\r\nx-request-id: ours\r\ncontent-length: 2\r\n\r\nok"
    )


def test_the_body_before_a_head_is_no_part_of_it() -> None:
    body = b"x" * 1500
    post = b"POST / HTTP/1.1\r\nContent-Length: 1500\r\n\r\n"
    found = read(post + body + b"GET / HT", b"TP/1.1\r\n\r\n")
    assert [type(one) for one in found] == [Request, Request]


def test_what_is_kept_of_half_a_request_is_counted() -> None:
    reader = RequestReader(limits=LIMITS)
    counted = [reader.held]
    for part in (b"POST / HTTP/1.1\r\nX: ", b"y" * 100, b"\r\nContent-Length: 1000\r\n\r\n"):
        reader.feed(part)
        counted.append(reader.held)
    assert counted[0] == 0
    assert counted[2] >= counted[1] + 100
    before = reader.held
    reader.feed(b"z" * 999)
    assert reader.held == before + 999
    [whole] = reader.feed(b"z")
    assert isinstance(whole, Request)
    assert whole.size > 1100
    assert reader.held == 0
