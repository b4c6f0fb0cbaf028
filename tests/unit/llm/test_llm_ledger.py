"""The ledger: limits that hold over restarts and between processes, and who is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InputError, LlmBudgetError
from opensearch_funnel.llm.client import open_llm
from opensearch_funnel.llm.ledger import Ledger
from opensearch_funnel.llm.spending import Budget, Prices, Tokens
from opensearch_funnel.llm.store import transaction
from tests.unit.llm.conftest import MakeSettings, Rows, prompt
from tests.unit.llm.llm_server import KEY, USAGE, model_server, says, silent

ROOT = Path(__file__).resolve().parents[3]
NOON = 1_795_348_800.0
"""Noon of 2026-11-22 in UTC."""
PATIENT_S = 120.0

RESERVES = """
import sys
from pathlib import Path
from opensearch_funnel.core.errors import LlmBudgetError
from opensearch_funnel.llm.ledger import Ledger
from opensearch_funnel.llm.spending import Budget, Prices, Tokens

ledger = Ledger(path=Path(sys.argv[1]), clock=lambda: 1_795_348_800.0)
print("ready", flush=True)
sys.stdin.readline()
granted = 0
for _ in range(25):
    call = ledger.begin(model="m", purpose="p", prices=Prices())
    try:
        ledger.reserve(call, estimate=Tokens(5, 5), patience_s=100,
                       budget=Budget(tokens_per_call=10, tokens_per_day=300))
    except LlmBudgetError:
        continue
    granted += 1
print(granted)
"""
ASKS = """
import sys
from pathlib import Path
from opensearch_funnel.llm.client import open_llm
from opensearch_funnel.settings import Settings
from tests.unit.llm.conftest import prompt

settings = Settings(llm_url=sys.argv[1], llm_model="m", home=Path(sys.argv[2]), llm_deadline=300)
with open_llm(settings) as llm:
    llm.ask(prompt())
"""


def test_processes_cannot_pass_a_limit_together(tmp_path: Path) -> None:
    path = tmp_path / "llm.sqlite"
    command = [sys.executable, "-c", RESERVES, str(path)]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(4)
    ]
    for process in running:  # all of them are up before the first one begins
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    granted = [int(process.communicate(timeout=PATIENT_S)[0]) for process in running]
    assert sum(granted) == 30, "300 tokens a day, 10 a call"
    (total,) = Ledger(path=path, clock=lambda: NOON).totals(days=1)
    assert (total.calls, total.open, total.tokens_in + total.tokens_out) == (30, 30, 300)


def test_a_call_that_is_killed_counts_with_the_most(tmp_path: Path, rows: Rows) -> None:
    with model_server(silent) as heard:
        command = [sys.executable, "-c", ASKS, heard.url, str(tmp_path / "home")]
        with subprocess.Popen(command, cwd=ROOT) as process:
            give_up = time.monotonic() + PATIENT_S
            while not heard.bodies and time.monotonic() < give_up:
                time.sleep(0.02)
            process.kill()
        assert len(heard.bodies) == 1
    (row,) = rows()
    assert (row["outcome"], row["tokens_in"], row["tokens_out"]) == ("open", 284, 100)


@pytest.mark.parametrize(
    ("limit", "allowed"), [("llm_tokens_per_day", 1000), ("llm_cost_per_day", 0.0011)]
)
def test_a_limit_of_a_day_holds_over_restarts(
    limit: str, allowed: float, settings: MakeSettings, rows: Rows
) -> None:
    usage = {"prompt_tokens": 200, "completion_tokens": 90}
    fitting = 3 if limit == "llm_tokens_per_day" else 1
    with model_server(says("a", usage=usage)) as heard:
        own = settings(heard.url, **{limit: allowed})
        for _ in range(fitting):
            with open_llm(own) as llm:
                llm.ask(prompt(remember=False))
        for _ in range(2):
            with open_llm(own) as llm, pytest.raises(LlmBudgetError, match=limit.upper()):
                llm.ask(prompt(remember=False))
        assert len(heard.bodies) == fitting
    booked = rows()
    assert [row["outcome"] for row in booked] == ["ok"] * fitting + ["budget"] * 2
    tokens = sum(row["tokens_in"] + row["tokens_out"] for row in booked)
    cost = sum(row["cost"] for row in booked)
    assert (tokens if limit == "llm_tokens_per_day" else cost) <= allowed


def test_a_call_past_its_own_limit_is_not_sent(settings: MakeSettings, rows: Rows) -> None:
    with model_server() as heard:
        own = settings(heard.url, llm_cost_per_call=0.0006)
        with open_llm(own) as llm, pytest.raises(LlmBudgetError, match="LLM_COST_PER_CALL"):
            llm.ask(prompt())
    assert heard.bodies == []
    (row,) = rows()
    assert (row["outcome"], row["tries"], row["cost"]) == ("budget", 0, 0)


def test_tries_stay_within_the_limit_of_a_call(settings: MakeSettings, rows: Rows) -> None:
    """Answers without use and without a report may be billed: two of them are all it allows."""
    with model_server(says(None, usage=None)) as heard:
        own = settings(heard.url, llm_tokens_per_call=800)
        with (
            open_llm(own, wait=lambda _: None) as llm,
            pytest.raises(LlmBudgetError, match="its answer is empty; not tried again: a call may"),
        ):
            llm.ask(prompt())
    assert len(heard.bodies) == 2
    (row,) = rows()
    assert row["tokens_in"] + row["tokens_out"] == 768


def test_a_new_day_begins_anew(tmp_path: Path) -> None:
    now = [NOON]
    ledger = Ledger(path=tmp_path / "l", clock=lambda: now[0])
    budget = Budget(tokens_per_call=100, tokens_per_day=100)

    def reserve() -> None:
        call = ledger.begin(model="m", purpose="p", prices=Prices())
        ledger.reserve(call, estimate=Tokens(60, 0), budget=budget)

    reserve()
    with pytest.raises(LlmBudgetError, match="a day may take 100 tokens"):
        reserve()
    now[0] += 43_199
    with pytest.raises(LlmBudgetError):
        reserve()
    now[0] += 1
    reserve()
    assert [total.day for total in ledger.totals(days=2)] == ["2026-11-23", "2026-11-22"]
    assert [total.day for total in ledger.totals(days=1)] == ["2026-11-23"]


def test_what_was_reserved_is_replaced_by_what_was_taken(tmp_path: Path) -> None:
    ledger = Ledger(path=tmp_path / "l", clock=lambda: NOON)
    budget = Budget(tokens_per_call=100, tokens_per_day=100)
    for _ in range(3):
        call = ledger.begin(model="m", purpose="p", prices=Prices())
        ledger.reserve(call, estimate=Tokens(60, 0), budget=budget)
        call.tokens = Tokens(9, 1)
        ledger.settle(call)
    (total,) = ledger.totals(days=1)
    assert (total.calls, total.tokens_in, total.tokens_out) == (3, 27, 3)


def test_a_ledger_that_another_process_holds_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with (
        transaction(path),
        pytest.raises(InputError, match="locked"),
        transaction(path, patience_s=0.01),
    ):
        pass
    assert path.stat().st_mode & 0o077 == 0, "answers are in it: nobody else reads them"


@pytest.fixture
def _exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "LLM_MODEL": "m",
        "LLM_KEY": KEY,
        "LLM_INPUT_PRICE": "1",
        "LLM_OUTPUT_PRICE": "4",
    }.items():
        monkeypatch.setenv(f"FUNNEL_{name}", value)


@pytest.mark.usefixtures("_exported")
def test_the_check_says_what_the_ledger_has(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with model_server(says("ready")) as heard:
        monkeypatch.setenv("FUNNEL_LLM_URL", heard.url)
        for _ in range(2):
            assert main(["llm", "check", "--output", "json"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed.split("\n}\n")[0] + "}")
    assert (result["answer"], result["tries"], result["estimated"]) == ("ready", 1, False)
    assert result["cost"] == pytest.approx((12 + 3 * 4) / 1e6)
    assert main(["llm", "ledger", "--output", "json"]) == 0
    book = json.loads(capsys.readouterr().out)
    (row,) = book["rows"]
    assert (row["purpose"], row["calls"], row["cached"], row["failed"]) == ("check", 2, 0, 0)
    assert book["today"]["tokens"] == 2 * USAGE["total_tokens"]
    assert book["cost"] == pytest.approx(2 * result["cost"])
    assert main(["llm", "ledger"]) == 0
    shown = capsys.readouterr().out
    assert "check" in shown
    assert KEY not in printed + shown


@pytest.mark.usefixtures("_exported")
def test_a_check_that_fails_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["llm", "check"]) == 1
    assert "FUNNEL_LLM_URL" in capsys.readouterr().err
    monkeypatch.setenv("FUNNEL_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FUNNEL_LLM_DEADLINE", "0.1")
    assert main(["llm", "check"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert KEY not in printed.err
    assert main(["config", "show", "--output", "json"]) == 0
    assert KEY not in capsys.readouterr().out


@pytest.mark.usefixtures("_exported")
def test_a_ledger_without_calls_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["llm", "ledger", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
    assert main(["llm", "ledger", "--days", "0"]) == 2
