"""What a call returns: text, objects, streams; what is kept, and what is asked again."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from opensearch_funnel.core.errors import (
    InputError,
    LlmAnswerError,
    LlmBudgetError,
    LlmRefusedError,
    MissingExtraError,
)
from opensearch_funnel.llm.client import open_llm
from opensearch_funnel.settings import Settings
from tests.unit.llm.conftest import MakeSettings, Rows, prompt
from tests.unit.llm.llm_server import KEY, Answers, event, events, model_server, refuses, says

T = TypeVar("T")
RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))
"""Exchanges in the shapes that servers document, byte by byte; no live one could be reached."""


class Judgement(msgspec.Struct, forbid_unknown_fields=True):
    grade: int
    why: str


GOOD = '{"grade": 2, "why": "exact"}'


def replays(recorded: dict[str, Any]) -> Any:
    def act(answers: Answers, body: Any) -> None:
        if body.get("stream"):
            answers.begin_stream()
            answers.wfile.write(recorded["stream"].encode())
        else:
            answers.send(recorded["body"].encode())

    return act


def whole(stream: Generator[str, None, T]) -> tuple[list[str], T]:
    texts = []
    while True:
        try:
            texts.append(next(stream))
        except StopIteration as end:
            return texts, end.value


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one["server"])
def test_the_answers_of_servers_in_use_are_read(
    recorded: dict[str, Any], settings: MakeSettings, rows: Rows
) -> None:
    with (
        model_server(replays(recorded)) as heard,
        open_llm(settings(heard.url, llm_cache=0)) as llm,
    ):
        asked = llm.ask(prompt())
        texts, streamed = whole(llm.stream(prompt()))
    sent, written = recorded["tokens"]
    for answer in (asked, streamed):
        assert answer.value == recorded["text"]
        assert (answer.tokens.sent, answer.tokens.written) == (sent, written)
        assert not answer.estimated
        assert answer.cost == pytest.approx((sent + 4 * written) / 1e6)
    assert "".join(texts) == recorded["text"]
    assert [row["outcome"] for row in rows()] == ["ok", "ok"]
    assert [row["cost"] for row in rows()] == pytest.approx([asked.cost] * 2)


def test_a_stream_comes_in_pieces_and_ends_with_the_whole(settings: MakeSettings) -> None:
    with model_server(says("it is there")) as heard, open_llm(settings(heard.url)) as llm:
        texts, answer = whole(llm.stream(prompt()))
        assert texts == ["it ", "is ", "there "]
        assert (answer.value, answer.tokens.total) == ("it is there ", 15)
        again, kept = whole(llm.stream(prompt()))
    assert (again, kept.cached, kept.cost) == (["it is there "], True, 0)
    assert len(heard.bodies) == 1


def test_a_text_is_handed_on_before_the_answer_is_whole(settings: MakeSettings) -> None:
    def act(answers: Answers, _: Any) -> None:
        answers.begin_stream()
        answers.wfile.write(event("first"))
        while not heard_first and answers.pause(0.01):
            pass
        answers.wfile.write(event(" last", finish="stop"))

    heard_first: list[str] = []
    with model_server(act) as heard, open_llm(settings(heard.url)) as llm:
        for text in llm.stream(prompt()):
            heard_first.append(text)  # noqa: PERF402 - the server waits for it
    assert heard_first == ["first", " last"]


def test_a_stream_that_is_left_early_counts_with_the_most(
    settings: MakeSettings, rows: Rows
) -> None:
    with model_server(says("a b c")) as heard, open_llm(settings(heard.url)) as llm:
        stream = llm.stream(prompt())
        next(stream)
        stream.close()
    (row,) = rows()
    assert (row["outcome"], row["estimated"], row["tokens_out"]) == ("stopped", 1, 100)


def test_a_server_that_does_not_stream_is_heard(settings: MakeSettings) -> None:
    whole_body = json.loads(RECORDED[0]["body"])
    with (
        model_server(lambda answers, _: answers.send(json.dumps(whole_body).encode())) as heard,
        open_llm(settings(heard.url)) as llm,
    ):
        texts, answer = whole(llm.stream(prompt()))
    assert (texts, answer.value) == (["ready"], "ready")


@pytest.mark.parametrize("change", ["model", "messages", "max_tokens", "temperature", "schema"])
def test_an_answer_is_kept_for_the_same_question_alone(
    change: str, settings: MakeSettings, rows: Rows
) -> None:
    with model_server(says(GOOD)) as heard:
        with open_llm(settings(heard.url)) as llm:
            first = llm.ask(prompt())
        with open_llm(settings(heard.url)) as llm:  # another process, another day
            kept = llm.ask(prompt())
        assert (kept.value, kept.cached, kept.tries) == (first.value, True, 0)
        assert len(heard.bodies) == 1
        own = settings(heard.url, llm_model="other" if change == "model" else "m")
        with open_llm(own) as llm:
            match change:
                case "messages":
                    llm.ask(prompt("Another?"))
                case "max_tokens":
                    llm.ask(prompt(max_tokens=101))
                case "temperature":
                    llm.ask(prompt(temperature=0.0))
                case "schema":
                    llm.ask_json(prompt(), answer=Judgement)
                case _:
                    llm.ask(prompt())
    assert len(heard.bodies) == 2
    assert [row["cached"] for row in rows()] == [0, 1, 0]
    assert [row["cost"] > 0 for row in rows()] == [True, False, True]


def test_what_is_not_to_be_remembered_is_asked_each_time(settings: MakeSettings) -> None:
    with model_server(says("a")) as heard, open_llm(settings(heard.url)) as llm:
        for _ in range(2):
            llm.ask(prompt(remember=False))
    assert len(heard.bodies) == 2


def test_the_oldest_answers_go_first(settings: MakeSettings) -> None:
    with model_server(says("a")) as heard, open_llm(settings(heard.url, llm_cache=2)) as llm:
        for question in ("1", "2", "3", "3", "2", "1"):
            llm.ask(prompt(question))
    asked = [body["messages"][0]["content"] for body in heard.bodies]
    assert asked == ["1", "2", "3", "1"]


def test_an_object_is_asked_for_by_its_schema(settings: MakeSettings) -> None:
    with model_server(says(GOOD)) as heard, open_llm(settings(heard.url)) as llm:
        answer = llm.ask_json(prompt(), answer=Judgement)
        again = llm.ask_json(prompt(), answer=Judgement)
    assert answer.value == again.value == Judgement(grade=2, why="exact")
    assert (answer.cached, again.cached) == (False, True)
    (body,) = heard.bodies
    described = body["response_format"]["json_schema"]
    assert (described["name"], described["strict"]) == ("Judgement", True)
    assert described["schema"]["required"] == ["grade", "why"]
    assert described["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "wrote", [f"```json\n{GOOD}\n```", GOOD[:-1], f"<think>{{</think>{GOOD}", GOOD[:-1] + ",\n}"]
)
def test_an_object_is_mended_without_asking_again(wrote: str, settings: MakeSettings) -> None:
    with model_server(says(wrote)) as heard, open_llm(settings(heard.url)) as llm:
        assert llm.ask_json(prompt(), answer=Judgement).value == Judgement(grade=2, why="exact")
    assert len(heard.bodies) == 1


@pytest.mark.parametrize(
    ("wrote", "problem"),
    [
        ("The grade is 2.", "no JSON object"),
        ('{"grade": "two", "why": ""}', "Expected `int`, got `str`"),
        ('{"score": 2, "why": ""}', "unknown field `score`"),
        ('{"grade": 2, "why": "exa', "cut inside a text"),
    ],
)
def test_a_schema_that_is_ignored_is_asked_for_once_more(
    wrote: str, problem: str, settings: MakeSettings, rows: Rows
) -> None:
    with model_server(says(wrote), says(GOOD)) as heard, open_llm(settings(heard.url)) as llm:
        answer = llm.ask_json(prompt(), answer=Judgement)
    assert answer.value == Judgement(grade=2, why="exact")
    first, second = (body["messages"] for body in heard.bodies)
    assert second[:2] == [*first, {"role": "assistant", "content": wrote}]
    assert problem in second[2]["content"]
    assert '"additionalProperties":false' in second[2]["content"]
    (row,) = rows()
    assert (row["tries"], row["tokens_in"], row["tokens_out"]) == (2, 24, 6)


def test_a_schema_that_is_ignored_twice_is_an_error(settings: MakeSettings, rows: Rows) -> None:
    wrote = f'{{"grade": "{KEY}", "why": 1}}'
    with (
        model_server(says(wrote)) as heard,
        open_llm(settings(heard.url)) as llm,
        pytest.raises(LlmAnswerError, match="no Judgement, asked twice: Expected `int`") as caught,
    ):
        llm.ask_json(prompt(), answer=Judgement)
    assert KEY not in str(caught.value)
    assert len(heard.bodies) == 2
    (row,) = rows()
    assert (row["outcome"], row["tries"]) == ("unusable", 2)


def test_an_object_cut_at_the_limit_is_not_asked_for_again(settings: MakeSettings) -> None:
    with (
        model_server(says(GOOD[:15], finish="length")) as heard,
        open_llm(settings(heard.url)) as llm,
        pytest.raises(LlmAnswerError, match="at the limit of 100 tokens: allow more"),
    ):
        llm.ask_json(prompt(), answer=Judgement)
    assert len(heard.bodies) == 1


def test_a_text_cut_at_the_limit_says_so_and_is_not_kept(settings: MakeSettings) -> None:
    with model_server(says("a", finish="length")) as heard, open_llm(settings(heard.url)) as llm:
        assert [llm.ask(prompt()).cut for _ in range(2)] == [True, True]
    assert len(heard.bodies) == 2


def test_the_second_question_counts_within_the_call(settings: MakeSettings, rows: Rows) -> None:
    usage = {"prompt_tokens": 500, "completion_tokens": 90}
    with model_server(says("no JSON", usage=usage)) as heard:
        own = settings(heard.url, llm_tokens_per_call=1000)
        with open_llm(own) as llm, pytest.raises(LlmBudgetError, match="TOKENS_PER_CALL"):
            llm.ask_json(prompt(), answer=Judgement)
    assert len(heard.bodies) == 1
    (row,) = rows()
    assert (row["outcome"], row["tokens_in"] + row["tokens_out"]) == ("budget", 590)


@pytest.mark.parametrize(
    ("said", "before", "after"),
    [
        ("Use 'max_completion_tokens' instead.", "max_tokens", "max_completion_tokens"),
        ("This response_format type is unavailable now", "response_format", "messages"),
    ],
)
def test_an_endpoint_is_met_in_the_parameters_it_takes(
    said: str, before: str, after: str, settings: MakeSettings
) -> None:
    with (
        model_server(refuses(400, said), says(GOOD)) as heard,
        open_llm(settings(heard.url), wait=lambda _: None) as llm,
    ):
        llm.ask_json(prompt(), answer=Judgement)
        llm.ask_json(prompt("Another?"), answer=Judgement)
    first, *others = heard.bodies
    assert before in first
    assert len(others) == 2, "what was found out holds for the next call"
    for body in others:
        assert before not in body
        assert after in body
    schema_told = "Answer with JSON of this schema" in others[0]["messages"][0]["content"]
    assert schema_told == (before == "response_format")


def test_an_endpoint_without_usage_of_streams_streams(settings: MakeSettings, rows: Rows) -> None:
    with (
        model_server(refuses(422, "stream_options: extra"), says("a b")) as heard,
        open_llm(settings(heard.url)) as llm,
    ):
        assert "".join(llm.stream(prompt())) == "a b "
    assert ["stream_options" in body for body in heard.bodies] == [True, False]
    (row,) = rows()
    assert (row["estimated"], row["tokens_out"]) == (1, 100)


def test_a_parameter_that_is_refused_for_good_is_an_error(settings: MakeSettings) -> None:
    with (
        model_server(refuses(400, "max_completion_tokens is too small")) as heard,
        open_llm(settings(heard.url)) as llm,
        pytest.raises(LlmRefusedError, match="too small"),
    ):
        llm.ask(prompt())
    assert len(heard.bodies) == 2


def test_several_threads_ask_at_once(settings: MakeSettings, rows: Rows) -> None:
    with (
        model_server(says("a")) as heard,
        open_llm(settings(heard.url)) as llm,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda n: llm.ask(prompt(str(n))), range(16)))
    assert {answer.value for answer in answers} == {"a"}
    assert len(heard.bodies) == len(rows()) == 16


def test_a_missing_package_is_named(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"openai is not installed: .*\[llm\]"):
        open_llm(settings("http://127.0.0.1:9/v1"))


def test_settings_that_lack_something_are_named(settings: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FUNNEL_LLM_URL"):
        open_llm(Settings(home=tmp_path))
    own = settings("http://x/v1", llm_cost_per_day=1, llm_input_price=0, llm_output_price=0)
    with pytest.raises(InputError, match="FUNNEL_LLM_INPUT_PRICE"):
        open_llm(own)


def test_a_key_that_is_none_is_refused_unseen() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(llm_key=SecretStr(f"{KEY} and\nmore"))
    assert KEY not in str(caught.value)
    assert KEY not in repr(Settings(llm_key=SecretStr(KEY)))
    assert Settings(llm_key=SecretStr(" ")).llm_key is None


def test_without_a_ledger_nothing_is_asked(settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be", encoding="utf-8")
    with (
        model_server() as heard,
        open_llm(settings(heard.url, llm_cache=0)) as llm,
        pytest.raises(InputError, match="FUNNEL_HOME"),
    ):
        llm.ask(prompt())
    assert heard.bodies == []


def test_events_in_any_pieces_are_one_answer(settings: MakeSettings) -> None:
    text = event("caf\u00e9 ") + event("\u2603", finish="stop")
    pieces = [bytes([byte]) for byte in text]
    with model_server(events(*pieces)) as heard, open_llm(settings(heard.url)) as llm:
        assert "".join(llm.stream(prompt())) == "caf\u00e9 \u2603"


def test_calls_that_ask_together_all_learn_what_the_endpoint_takes(settings: MakeSettings) -> None:
    together = threading.Barrier(3)

    def picky(answers: Answers, body: Any) -> None:
        if "max_tokens" in body:
            together.wait(timeout=10)  # all are refused before one of them has heard of it
            refuses(400, "use max_completion_tokens instead")(answers, body)
        else:
            says("yes")(answers, body)

    with (
        model_server(picky) as heard,
        open_llm(settings(heard.url)) as llm,
        ThreadPoolExecutor(3) as workers,
    ):
        asked = [workers.submit(llm.ask, prompt(f"Is it {n}?")) for n in range(3)]
        assert [one.result().value for one in asked] == ["yes"] * 3
