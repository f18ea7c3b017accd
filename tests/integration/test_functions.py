"""Function conditions from the outside: files, notebooks, TOML; what they call, return and raise."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.api import Note, RunResult, prepare
from crucible_ray.cli.main import main
from crucible_ray.errors import MissingKey, SpecError, UsageError
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.spec import Budget, Experiment, Function, Model
from crucible_ray.records import Answer
from crucible_ray.settings import load_settings
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, PRICES, rows_of

FILE = '''
    """Two functions and a model."""
    import asyncio
    from crucible_ray import Answer, Experiment, Model
    from helper import asked

    experiment = Experiment(
        name="functions", dataset="demo", sample_size=6, repeat=2, max_tokens=16,
        conditions=[Model("gpt4o_mini", name="single")],
    )

    @experiment.condition("both", max_calls=2)
    async def both(item, call):
        """Asks two at once."""
        first, second = await asyncio.gather(call.model("gpt4o_mini", asked(item)), call.model("claude_haiku", asked(item)))
        return first if first.text == second.text else second

    @experiment.condition("voted")
    def voted(item, call):
        found = call.ensemble(["gpt4o_mini", "gemini_flash", "claude_haiku"], asked(item))
        return {
            "prediction": found.answer, "latency": found.latency_ms, "cost": found.cost_usd,
            "consensus": found.consensus, "metadata": {"votes": found.votes},
        }
'''
HELPER = """
    def asked(item):
        lines = [f"{letter}. {text}" for letter, text in zip("ABCD", item.choices)]
        return "\\n".join([item.input, *lines])
"""


def write(folder: Path, text: str = FILE, *, helper: str = HELPER, name: str = "exp.py") -> Path:
    (folder / "helper.py").write_text(textwrap.dedent(helper))
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


@pytest.fixture(autouse=True)
def _forget_modules() -> Any:
    """Each test's `helper` is its own."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "helper" or name.startswith("crucible_experiment_"):
            del sys.modules[name]


def run_file(file: Path, **options: Any) -> RunResult:
    """In this process, its models simulated."""
    prepared = prepare(load_experiment(str(file)), simulate=True)
    return api.run(prepared, output_dir=file.parent / "out", **({"runtime": "in-process"} | options))


_CHOICES = ("runtime", "on_note", "clients", "ray")


def run_here(folder: Path, url: str, *conditions: Any, **changes: Any) -> RunResult:
    """Functions of this very file against a running simulator."""
    options = {name: changes.pop(name) for name in list(changes) if name in _CHOICES}
    lines = ["[ensemble]", "retry_delay_s = 0.05"]
    prices = changes.pop("prices", PRICES)
    for model in ("small", "medium", "large"):
        lines += [f"[models.{model}]", 'provider = "openai"', f'model = "{model}"', f'base_url = "{url}"']
        lines += [f"{key} = {value}" for key, value in prices.items()]
    (folder / "crucible.toml").write_text("\n".join(lines))
    fields: dict[str, Any] = {"name": "here", "dataset": "demo", "sample_size": 4, "max_tokens": 16}
    made = Experiment(conditions=list(conditions), **(fields | changes))
    prepared = prepare(made, settings=load_settings(folder, os.environ))
    return api.run(prepared, output_dir=folder / "out", **({"runtime": "in-process"} | options))


def test_functions_of_a_file_run_and_replay_to_the_same_bytes(tmp_path: Path) -> None:
    result = run_file(write(tmp_path))
    assert (result.status, result.completed, result.failed) == ("complete", 36, 0)
    rows = rows_of(result.results_dir)
    by_condition = {name: [row for row in rows if row["condition"] == name] for name in ("both", "voted")}
    assert {row["calls"] for row in by_condition["both"]} == {"2"}
    assert {row["calls"] for row in by_condition["voted"]} == {"3"}
    assert all(float(row["consensus"]) > 0 for row in by_condition["voted"])
    assert all(float(row["cost_usd"]) >= 0 and float(row["latency_ms"]) > 0 for row in by_condition["both"])
    assert api.reproduce(result.results_dir).same
    assert api.reproduce(result.results_dir, clients=2).same


def test_every_prompt_of_a_function_is_kept(tmp_path: Path, simulate: Simulate) -> None:
    async def twice(item: Any, call: Any) -> Any:
        await call.model("small", f"first {item.id}", system="be brief")
        return await call.model("small", [{"role": "user", "content": f"second {item.id}"}])

    result = run_here(tmp_path, simulate(models=AT_ONCE).url, twice)
    prompts = pq.read_table(result.results_dir / "prompts.parquet")["messages"].to_pylist()
    assert len(prompts) == 8
    assert sum("be brief" in text and "first" in text for text in prompts) == 4
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    assert [call["call"] for call in calls] == [0, 1] * 4


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (lambda item: item.expected, ("", "right", "1")),
        (lambda item: Answer(item.expected, metadata={"kept": (1, 2)}), ("", "right", "1")),
        (lambda item: {"prediction": item.expected, "latency": 12.5}, ("", "right", "1")),
        (lambda item: Answer(None), ("parse_failed", "", "0")),
        (lambda item: "who knows", ("parse_failed", "", "0")),
        (lambda item: 3, ("exception", "", "")),
        (lambda item: {"answer": "A"}, ("exception", "", "")),
        (lambda item: item.nonsense, ("exception", "", "")),
    ],
)
def test_what_a_function_returns_is_its_answer(
    tmp_path: Path, simulate: Simulate, returned: Callable[[Any], Any], expected: tuple[str, str, str]
) -> None:
    result = run_here(tmp_path, "http://127.0.0.1:9", lambda item, call: returned(item))
    for row in rows_of(result.results_dir):
        prediction = row["expected"] if expected[1] == "right" else expected[1]
        assert (row["error"], row["prediction"], row["correct"]) == (expected[0], prediction, expected[2])
        assert (row["condition"], row["calls"], row["cost_usd"]) == ("function_1", "0", "0.0")
    assert api.reproduce(result.results_dir).same


class _Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no text for this")


def _deep() -> Answer:
    metadata: dict[str, Any] = {}
    inner = metadata
    for _ in range(5000):
        inner["in"] = inner = {}
    return Answer("A", metadata=metadata)


def _leave() -> Answer:
    raise SystemExit(3)


def _half() -> Answer:
    raise ValueError("half a pair: \ud800")


@pytest.mark.parametrize(
    "answer",
    [
        _deep,
        _leave,
        _half,
        lambda: Answer("A", metadata={"what": _Unwritable()}),
        lambda: Answer("A", metadata="ab"),  # type: ignore[arg-type]
        lambda: Answer(_Unwritable()),  # type: ignore[arg-type]
        lambda: Answer("A", metadata={"\ud800": 1}),
        lambda: {"prediction": "A", "latency": 1e300},
        lambda: {"prediction": "A", "latency": -1.0},
        lambda: {"prediction": "A", "votes": {"A": 10**30}},
    ],
)
def test_what_cannot_be_recorded_fails_its_trial_and_never_its_client(
    tmp_path: Path, answer: Callable[[], Any]
) -> None:
    runs = []

    async def odd(item: Any, call: Any) -> Any:
        runs.append(item.id)
        return answer()

    result = run_here(tmp_path, "http://127.0.0.1:9", odd, sample_size=2, repeat=1)
    assert [row["error"] for row in rows_of(result.results_dir)] == ["exception", "exception"]
    assert len(runs) == 2
    assert api.reproduce(result.results_dir).same


def test_half_a_surrogate_pair_in_an_answer_is_read_as_an_unknown_character(tmp_path: Path) -> None:
    def half(item: Any, call: Any) -> Any:
        return Answer("A\ud800")

    result = run_here(tmp_path, "http://127.0.0.1:9", half, sample_size=2, repeat=1)
    assert [row["prediction"] for row in rows_of(result.results_dir)] == ["A\ufffd", "A\ufffd"]


def test_a_mapping_says_the_latency_of_a_function_that_made_no_call(tmp_path: Path) -> None:
    def own(item: Any, call: Any) -> Any:
        return {"prediction": "A", "latency": 12.5, "cost": 3.0}

    result = run_here(tmp_path, "http://127.0.0.1:9", own)
    assert {(row["latency_ms"], row["cost_usd"]) for row in rows_of(result.results_dir)} == {
        ("12.500", "0.0")
    }


def test_the_first_exception_is_shown_with_the_authors_own_frames(tmp_path: Path) -> None:
    notes: list[Note] = []
    file = write(tmp_path, FILE.replace("return first if", "raise_it(item); return first if") + BROKEN)
    result = run_file(file, on_note=notes.append)
    assert result.failed == 12
    (note,) = [note for note in notes if note.name == "exception"]
    detail = str(note.facts["detail"])
    assert "exp.py" in detail
    assert "in raise_it" in detail
    assert detail.endswith("ValueError: no answer for this one")
    assert "crucible_ray/" not in detail
    assert result.facts.exception == detail
    assert {row["error"] for row in rows_of(result.results_dir) if row["condition"] == "both"} == {
        "exception"
    }
    assert api.reproduce(result.results_dir).same


def test_a_result_and_a_trial_say_what_a_function_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(item: Any, call: Any) -> Any:
        raise LookupError(f"no row for <b>{item.id}</b> \x1b[31m")

    result = run_here(tmp_path, "http://127.0.0.1:9", failing, sample_size=3, repeat=1)
    assert result.exception is not None
    assert "LookupError: no row for <b>" in result.exception
    assert "in failing" in result.exception
    assert result.summary["exception"] == result.exception == api.load(result.results_dir).exception
    assert "LookupError: no row for" in repr(result)
    assert "\x1b" not in repr(result) + result._repr_html_()
    assert "&lt;b&gt;" in result._repr_html_()
    for trial in range(3):
        shown = api.show(result.results_dir, trial)
        assert shown.failure is not None
        assert f"LookupError: no row for <b>{shown.item.id}</b>" in shown.failure
    assert main(["show", str(result.results_dir), "2"]) == 0
    said = capsys.readouterr().out
    assert f"LookupError: no row for <b>{shown.item.id}</b>" in said
    assert "\x1b" not in said


def test_a_result_without_a_failed_function_has_no_exception(tmp_path: Path) -> None:
    result = run_here(tmp_path, "http://127.0.0.1:9", lambda item, call: "A", sample_size=2, repeat=1)
    assert result.exception is None
    assert "exception" not in result.summary
    assert api.show(result.results_dir, 0).failure is None


BROKEN = """
    def raise_it(item):
        raise ValueError("no answer for this one")
"""


def test_a_model_that_nobody_knows_stops_the_run_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no model 'smal': did you mean 'small'"):
        run_here(tmp_path, "http://127.0.0.1:9", lambda item, call: call.model("smal", "?"))


def test_a_missing_key_stops_the_run_even_where_the_function_catches_everything(tmp_path: Path) -> None:
    async def careless(item: Any, call: Any) -> Any:
        try:
            return await call.model("groq/llama", "?")
        except Exception:  # noqa: BLE001 - careless on purpose
            return "A"

    with pytest.raises(MissingKey, match="GROQ_API_KEY"):
        run_here(tmp_path, "http://127.0.0.1:9", careless)


def test_a_call_that_fails_for_good_is_the_rows_error_unless_it_is_caught(
    tmp_path: Path, simulate: Simulate
) -> None:
    from crucible_ray import CallFailed

    async def lets_it_pass(item: Any, call: Any) -> Any:
        return await call.model("small", "?")

    async def catches(item: Any, call: Any) -> Any:
        try:
            return await call.model("small", "?")
        except CallFailed as failed:
            return Answer(failed.kind)

    result = run_here(
        tmp_path, simulate(models=AT_ONCE, faults={"500": 1.0}).url, lets_it_pass, catches, max_retries=1
    )
    rows = rows_of(result.results_dir)
    assert {(row["error"], row["calls"], row["retries"]) for row in rows[::2]} == {("server_error", "2", "1")}
    assert {(row["prediction"], row["error"]) for row in rows[1::2]} == {("server_error", "")}
    assert api.reproduce(result.results_dir).same


def test_latency_counts_calls_side_by_side_once_and_retries_without_their_waits(
    tmp_path: Path, simulate: Simulate
) -> None:
    import asyncio

    async def both(item: Any, call: Any) -> Any:
        await asyncio.gather(call.model("small", "a"), call.model("large", "b"))
        return await call.model("small", "c")

    provider = simulate(models=AT_ONCE, faults={"500": 0.3})
    result = run_here(tmp_path, provider.url, both, max_retries=9, sample_size=12)
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    for row in rows_of(result.results_dir):
        spans = sorted((c["started_ms"], c["ended_ms"]) for c in calls if c["trial"] == int(row["trial"]))
        covered, until = 0.0, 0.0
        for start, stop in spans:
            covered += max(0.0, stop - max(until, start))
            until = max(until, stop)
        assert float(row["latency_ms"]) == pytest.approx(covered, abs=0.002)
    assert any(int(row["retries"]) for row in rows_of(result.results_dir))
    assert api.reproduce(result.results_dir, clients=2).same


def test_a_function_that_hangs_is_cut_at_its_timeout(tmp_path: Path) -> None:
    import asyncio

    gate = threading.Event()

    async def sleeps(item: Any, call: Any) -> Any:
        await asyncio.sleep(60)

    def blocks(item: Any, call: Any) -> Any:
        gate.wait(60)

    result = run_here(tmp_path, "http://127.0.0.1:9", sleeps, blocks, timeout_s=0.1)
    gate.set()
    assert {row["error"] for row in rows_of(result.results_dir)} == {"timeout"}


def test_a_debugger_stops_the_time_of_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def look() -> None:
        looked_at.append("here")
        threading.Event().wait(0.2)

    monkeypatch.setattr(sys, "breakpointhook", look)

    async def stops(item: Any, call: Any) -> Any:
        breakpoint()
        return "A"

    result = run_here(tmp_path, "http://127.0.0.1:9", stops, timeout_s=0.1)
    assert len(looked_at) == 4
    assert {row["error"] for row in rows_of(result.results_dir)} == {""}
    assert sys.breakpointhook is look


def test_a_call_has_no_more_time_than_its_function_has_left(tmp_path: Path, simulate: Simulate) -> None:
    slow = simulate(models=[each.__class__(name=each.name, latency_s=30.0) for each in AT_ONCE])

    async def asks(item: Any, call: Any) -> Any:
        return await call.model("small", "?", timeout_s=50, attempt_timeout_s=50)

    result = run_here(tmp_path, slow.url, asks, timeout_s=0.2, sample_size=2)
    assert {(row["error"], row["calls"]) for row in rows_of(result.results_dir)} == {("timeout", "1")}
    assert api.reproduce(result.results_dir).same


def test_a_budget_holds_for_functions_and_the_rest_stays_pending(tmp_path: Path, simulate: Simulate) -> None:
    async def asks(item: Any, call: Any) -> Any:
        await call.model("small", "?" * 100)
        return await call.model("large", "?" * 100)

    provider = simulate(models=AT_ONCE)
    budget = Budget(max_total=0.2, abort_on_exceed=True)
    result = run_here(tmp_path, provider.url, asks, sample_size=60, budget=budget)
    assert result.status == "budget"
    assert result.cost_usd is not None
    assert 0.1 < result.cost_usd <= 0.2
    assert 0 < result.pending < 60


def test_a_budget_holds_where_calls_are_declared_beside_a_model(tmp_path: Path, simulate: Simulate) -> None:
    async def asks(item: Any, call: Any) -> Any:
        await call.model("small", "?" * 100)
        return await call.model("large", "?" * 100)

    provider = simulate(models=AT_ONCE)
    declared = Function(asks, max_calls=2)
    budget = Budget(max_total=0.3, abort_on_exceed=True)
    result = run_here(tmp_path, provider.url, Model("small"), declared, sample_size=60, budget=budget)
    assert result.status == "budget"
    assert result.cost_usd is not None
    assert 0.15 < result.cost_usd <= 0.3
    conditions = [row["condition"] for row in rows_of(result.results_dir)]
    assert min(conditions.count("small"), conditions.count("asks")) > 0


def test_a_function_has_options_of_its_own(tmp_path: Path, simulate: Simulate) -> None:
    import asyncio

    async def sleeps(item: Any, call: Any) -> Any:
        await asyncio.sleep(0 if item.id == first else 60)
        return await call.model("small", "?")

    url = simulate(models=AT_ONCE).url
    first = "no such item"
    made = Function(sleeps, name="short", timeout_s=0.1, max_tokens=3, temperature=0.5)
    result = run_here(tmp_path, url, made)
    assert {(row["condition"], row["error"]) for row in rows_of(result.results_dir)} == {("short", "timeout")}
    function = result.plan.conditions[0].function
    assert function is not None
    assert (function.timeout_s, function.attempt_timeout_s, function.max_tokens) == (0.1, 0.05, 3)


def test_a_budget_needs_the_price_of_what_a_function_names(tmp_path: Path, simulate: Simulate) -> None:
    budget = Budget(max_total=1.0, abort_on_exceed=True)
    with pytest.raises(UsageError, match="price of small"):
        run_here(
            tmp_path,
            simulate(models=AT_ONCE).url,
            lambda item, call: call.model("small", "?"),
            budget=budget,
            prices={},
        )


def test_what_cannot_travel_is_refused_by_name_before_the_run(tmp_path: Path) -> None:
    lock = threading.Lock()

    def locked(item: Any, call: Any) -> Any:
        with lock:
            return "A"

    with pytest.raises(SpecError, match=r"function locked cannot be sent.*: lock "):
        run_here(tmp_path, "http://127.0.0.1:9", locked, runtime="ray")


def test_the_options_of_a_call_are_checked(tmp_path: Path) -> None:
    notes: list[Note] = []
    run_here(
        tmp_path,
        "http://127.0.0.1:9",
        lambda item, call: call.model("small", "?", temprature=1.0),
        on_note=notes.append,
    )
    (note,) = [note for note in notes if note.name == "exception"]
    assert "there is no option 'temprature': did you mean 'temperature'?" in str(note.facts["detail"])


def test_resume_reads_functions_again_and_refuses_changed_ones(tmp_path: Path) -> None:
    file = write(tmp_path, FILE.replace("return first if", "raise_it(item); return first if") + BROKEN)
    first = run_file(file)
    assert first.failed == 12
    again = api.retry(first.results_dir, runtime="in-process")
    assert again.failed == 12
    file.write_text(file.read_text().replace("for this one", "for that one"))
    with pytest.raises(UsageError, match="the function of condition 'both' is not the one"):
        api.retry(first.results_dir, runtime="in-process")


TOML = """
    name = "functions"
    dataset = "demo"
    sample_size = 4
    max_tokens = 16

    [[conditions]]
    type = "function"
    name = "asks"
    function = "conditions.py:asks"
    max_calls = 1
"""
ASKS = """
    from helper import asked

    async def asks(item, call):
        return await call.model("gpt4o_mini", asked(item))
"""


def test_toml_names_functions_of_files_beside_it(tmp_path: Path) -> None:
    write(tmp_path, ASKS, name="conditions.py")
    result = run_file(write(tmp_path, TOML, name="exp.toml"))
    assert (result.status, result.completed) == ("complete", 4)
    wrong = write(tmp_path, TOML.replace(":asks", ":aks"), name="wrong.toml")
    with pytest.raises(SpecError, match="there is no 'aks': did you mean 'asks'"):
        load_experiment(str(wrong))


def test_functions_reach_ray_workers_by_value(tmp_path: Path, ray_session: Any) -> None:
    result = run_file(write(tmp_path), runtime="ray", ray=ray_session, clients=2)
    assert (result.status, result.completed, result.failed) == ("complete", 36, 0)
    assert api.reproduce(result.results_dir).same


def test_functions_survive_the_death_of_a_client(tmp_path: Path, ray_session: Any) -> None:
    result = run_file(write(tmp_path), runtime="ray", ray=ray_session, clients=2, kill_client_at=0.2)
    assert (result.status, result.completed, result.failed) == ("complete", 36, 0)
    assert (
        len({row["trial"] for row in rows_of(result.results_dir)}) == len(rows_of(result.results_dir)) == 36
    )
    assert api.reproduce(result.results_dir).same


def test_a_local_function_reaches_a_ray_worker(tmp_path: Path, simulate: Simulate, ray_session: Any) -> None:
    word = "closed over"

    async def local(item: Any, call: Any) -> Any:
        await call.model("small", word)
        raise KeyError(word)

    notes: list[Note] = []
    url = simulate(models=AT_ONCE).url
    result = run_here(tmp_path, url, local, runtime="ray", ray=ray_session, on_note=notes.append)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"exception"}
    (note,) = [note for note in notes if note.name == "exception"]
    assert "in local" in str(note.facts["detail"])
    assert "KeyError: 'closed over'" in str(note.facts["detail"])
