"""Whatever an endpoint does: the deadline holds, the budget holds, the key stays hidden."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import (
    LlmAnswerError,
    LlmBudgetError,
    LlmError,
    LlmRefusedError,
    LlmUnavailableError,
)
from opensearch_funnel.llm.client import open_llm
from tests.unit.llm.conftest import MakeSettings, Rows, prompt
from tests.unit.llm.llm_server import (
    KEY,
    Act,
    completion,
    drips,
    endless,
    event,
    events,
    hangs_up,
    model_server,
    refuses,
    says,
    sends,
    silent,
)

SOON = 1.0
"""The deadline where a server never ends, so that only it can end the call."""
LONG = 120.0
"""The deadline where it plays no part, on a busy machine, too."""
GENEROUS = 60.0
"""What a call with the short deadline may take on a busy machine; its server takes for ever."""
MOST_TOKENS, MOST_COST = 2_000, 0.01

HANGS: dict[str, Act] = {
    "a silent socket": silent,
    "a slow drip": drips,
    "an endless stream": endless,
}
_HALF = json.dumps(completion("ready")).encode()[:60]
_HUGE = b'{"choices": [' + b" " * 17_000_000 + b"]}"
BROKEN: dict[str, tuple[Act, type[LlmError], int]] = {
    "429 without Retry-After": (refuses(429), LlmUnavailableError, 4),
    "429 with Retry-After": (
        refuses(429, headers={"Retry-After": "2"}),
        LlmUnavailableError,
        4,
    ),
    "429 with a date long after": (
        refuses(429, headers={"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}),
        LlmUnavailableError,
        1,
    ),
    "429 with nonsense": (
        refuses(429, headers={"Retry-After": "nan"}),
        LlmUnavailableError,
        4,
    ),
    "429 for want of money": (
        lambda answers, _: answers.send(
            b'{"error": {"message": "pay", "code": "insufficient_quota"}}', status=429
        ),
        LlmRefusedError,
        1,
    ),
    "500": (refuses(500, f"the key {KEY} made me crash"), LlmUnavailableError, 4),
    "504": (refuses(504), LlmUnavailableError, 4),
    "401 that repeats the key": (refuses(401, f"wrong key {KEY[:12]}**"), LlmRefusedError, 1),
    "400 that repeats the key": (refuses(400, f"do not send {KEY}"), LlmRefusedError, 1),
    "404": (refuses(404), LlmRefusedError, 1),
    "hanging up": (hangs_up, LlmUnavailableError, 4),
    "a connection that is cut": (sends(_HALF, length=1000), LlmUnavailableError, 4),
    "cut JSON": (sends(_HALF), LlmAnswerError, 4),
    "a page": (sends(b"<html>Sign in</html>", kind="text/html"), LlmRefusedError, 1),
    "an error with 200": (
        sends({"error": {"message": f"upstream {KEY}", "code": 502}}),
        LlmAnswerError,
        4,
    ),
    "a final error with 200": (
        sends({"object": "error", "message": "no such model", "code": 404}),
        LlmAnswerError,
        1,
    ),
    "no choices": (sends({"choices": [], "usage": None}), LlmAnswerError, 4),
    "choices that are none": (sends({"choices": None}), LlmAnswerError, 4),
    "no content": (sends(completion(None)), LlmAnswerError, 4),
    "thoughts and no answer": (sends(completion("", finish="length")), LlmAnswerError, 1),
    "a content filter": (sends(completion("x", finish="content_filter")), LlmAnswerError, 1),
    "a number for a text": (
        sends({"choices": [{"message": {"content": 7}}]}),
        LlmAnswerError,
        4,
    ),
    "deep nesting": (sends(b'{"usage": ' + b"[" * 200_000), LlmAnswerError, 4),
    "not UTF-8": (sends(b'{"choices": "\xff"}'), LlmAnswerError, 4),
    "a huge answer": (sends(_HUGE), LlmAnswerError, 1),
    "more than it may write": (sends(completion("word " * 2000)), LlmAnswerError, 1),
    "a compressed answer": (
        lambda answers, _: answers.send(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
        LlmAnswerError,
        1,
    ),
}
BROKEN_STREAMS: dict[str, tuple[Act, type[LlmError], int]] = {
    **{name: BROKEN[name] for name in ("429 without Retry-After", "500", "a page", "hanging up")},
    "a stream without an event": (events(b": still here\n\n"), LlmUnavailableError, 4),
    "a stream cut before its text": (events(b"data: {"), LlmUnavailableError, 4),
    "a stream cut after its text": (events(event("It"), event(" is")), LlmUnavailableError, 1),
    "an event that is no JSON": (events(event("It"), b"data: {]\n\n"), LlmAnswerError, 1),
    "an error in a stream": (
        events(event("It"), b'data: {"error": {"message": "overloaded"}}\n\n'),
        LlmAnswerError,
        1,
    ),
    "a stream past its limit": (events(*[event("word " * 200)] * 9), LlmAnswerError, 1),
    "a stream of one huge line": (events(b"data: ", b"x" * 17_000_000), LlmAnswerError, 1),
}


@pytest.fixture(autouse=True)
def _everything_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Iterator[None]:
    """Look for the key in all that was logged or written down."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]


def fails(
    act: Act, settings: MakeSettings, *, stream: bool, deadline_s: float
) -> tuple[LlmError, list[float], int]:
    """Ask, and return the error, the waits between the tries, and how many there were."""
    waits: list[float] = []
    with model_server(act) as heard:
        own = settings(
            heard.url,
            llm_deadline=deadline_s,
            llm_tokens_per_call=MOST_TOKENS,
            llm_cost_per_call=MOST_COST,
        )
        with open_llm(own, wait=waits.append) as llm, pytest.raises(LlmError) as caught:
            for _ in llm.stream(prompt()) if stream else (llm.ask(prompt()),):
                pass
        whole = "".join(traceback.format_exception(caught.value)) + repr(llm)
        assert KEY not in whole
        assert KEY[:12] not in whole
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert len(message) < 600
        return caught.value, waits, len(heard.bodies)


def assert_booked(rows: Rows, *, outcome: str, tries: int) -> None:
    (row,) = rows()
    assert (row["outcome"], row["tries"]) == (outcome, tries)
    assert row["tokens_in"] + row["tokens_out"] <= MOST_TOKENS
    assert row["cost"] <= MOST_COST
    assert row["cost"] == pytest.approx((row["tokens_in"] + 4 * row["tokens_out"]) / 1e6)


OUTCOMES = {
    LlmUnavailableError: "unavailable",
    LlmRefusedError: "refused",
    LlmAnswerError: "unusable",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", HANGS)
def test_a_deadline_holds_whatever_the_server_does(
    name: str, stream: bool, settings: MakeSettings, rows: Rows
) -> None:
    began = time.monotonic()
    error, _, asked = fails(HANGS[name], settings, stream=stream, deadline_s=SOON)
    assert time.monotonic() - began < GENEROUS
    assert isinstance(error, LlmUnavailableError)
    assert "deadline" in str(error)
    assert "FUNNEL_LLM_DEADLINE" in str(error)
    assert_booked(rows, outcome="unavailable", tries=asked)
    (row,) = rows()
    assert row["estimated"] == 1, "nobody said what it took: the most that it could counts"
    assert row["tokens_out"] == 100


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_one_error_within_its_budget(
    name: str, settings: MakeSettings, rows: Rows
) -> None:
    act, expected, tries = BROKEN[name]
    error, waits, asked = fails(act, settings, stream=False, deadline_s=LONG)
    assert (type(error), asked, len(waits)) == (expected, tries, tries - 1), str(error)
    assert_booked(rows, outcome=OUTCOMES[expected], tries=tries)


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_broken_stream_is_one_error_within_its_budget(
    name: str, settings: MakeSettings, rows: Rows
) -> None:
    act, expected, tries = BROKEN_STREAMS[name]
    error, _, asked = fails(act, settings, stream=True, deadline_s=LONG)
    assert (type(error), asked) == (expected, tries), str(error)
    assert_booked(rows, outcome=OUTCOMES[expected], tries=tries)


def test_tries_wait_as_long_as_they_are_asked_to(settings: MakeSettings) -> None:
    _, waits, _ = fails(BROKEN["429 with Retry-After"][0], settings, stream=False, deadline_s=LONG)
    assert waits == [2.0, 2.0, 2.0]


def test_tries_wait_longer_and_longer(settings: MakeSettings) -> None:
    _, waits, _ = fails(refuses(500), settings, stream=False, deadline_s=LONG)
    assert [0.25 <= waits[0] <= 0.5, 0.5 <= waits[1] <= 1, 1 <= waits[2] <= 2] == [True] * 3


def test_a_wait_past_the_deadline_is_not_begun(settings: MakeSettings) -> None:
    act = refuses(503, headers={"Retry-After": "3600"})
    error, waits, asked = fails(act, settings, stream=False, deadline_s=LONG)
    assert (waits, asked) == ([], 1)
    assert "asks to wait 3.6e+03 s" in str(error)


def test_an_endpoint_that_recovers_is_asked_again(settings: MakeSettings, rows: Rows) -> None:
    script = (refuses(429), refuses(502), hangs_up, says("ready"))
    with (
        model_server(*script) as heard,
        open_llm(settings(heard.url, llm_deadline=LONG), wait=lambda _: None) as llm,
    ):
        answer = llm.ask(prompt())
    assert (answer.value, answer.tries) == ("ready", 4)
    (row,) = rows()
    # Two of the tries may be billed, and nobody says: 284 tokens at most were sent in each.
    assert answer.estimated
    assert row["tokens_out"] == 100 + 100 + 3
    assert row["tokens_in"] == 2 * 284 + 12


def test_nobody_listening_is_said_with_the_address(settings: MakeSettings, rows: Rows) -> None:
    with (
        open_llm(settings("http://127.0.0.1:9/v1"), wait=lambda _: None) as llm,
        pytest.raises(LlmUnavailableError, match=r"127\.0\.0\.1:9.*cannot be reached.*llm check"),
    ):
        llm.ask(prompt())
    (row,) = rows()
    assert (row["tokens_in"], row["tries"], row["outcome"]) == (0, 4, "unavailable")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays(
    status: int, settings: MakeSettings, rows: Rows
) -> None:
    with model_server() as thief:
        to = thief.url.replace("127.0.0.1", "localhost")
        act = refuses(status, headers={"Location": f"{to}/chat/completions?key={KEY}"})
        error, _, asked = fails(act, settings, stream=False, deadline_s=LONG)
        assert (thief.bodies, asked) == ([], 1)
    assert isinstance(error, LlmRefusedError)
    assert "a redirect to localhost" in str(error)
    assert_booked(rows, outcome="refused", tries=1)


def test_only_the_key_of_the_settings_is_sent(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-provider")
    monkeypatch.setenv("OPENAI_ORG_ID", "of-another-provider")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-more: of-another-provider")
    with model_server() as heard:
        with open_llm(settings(heard.url)) as llm:
            llm.ask(prompt())
        with open_llm(settings(heard.url, llm_key=None)) as llm:
            llm.ask(prompt("And without a key?"))
    with_key, without = heard.headers
    assert with_key.pop("authorization") == f"Bearer {KEY}"
    assert "of-another-provider" not in str(heard.headers)
    assert "authorization" not in without
    assert with_key.keys() == without.keys()


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, [], 3])
def test_an_answer_without_a_usable_report_counts_with_the_most_it_could_take(
    usage: object, settings: MakeSettings, rows: Rows
) -> None:
    with model_server(says("ready", usage=usage)) as heard, open_llm(settings(heard.url)) as llm:
        answer = llm.ask(prompt())
    assert (answer.value, answer.estimated) == ("ready", True)
    (row,) = rows()
    assert (row["outcome"], row["tokens_in"], row["tokens_out"]) == ("ok", 284, 100)


def test_a_report_past_the_limit_is_booked_and_refused(settings: MakeSettings, rows: Rows) -> None:
    report = {"prompt_tokens": 12, "completion_tokens": 50_000}
    with model_server(says("ready", usage=report)) as heard:
        own = settings(heard.url, llm_tokens_per_call=1000)
        with open_llm(own) as llm, pytest.raises(LlmBudgetError, match="TOKENS_PER_CALL"):
            llm.ask(prompt())
    (row,) = rows()
    assert (row["outcome"], row["tokens_out"]) == ("budget", 50_000)
