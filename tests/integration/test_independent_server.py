"""A server of another's making (`llmock`), which speaks the three formats and grades how clients take its faults."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from crucible_ray import Experiment, Model, api
from crucible_ray.api import RunResult
from crucible_ray.errors import ParameterRefused, RefusedKey
from crucible_ray.settings import EnsembleSettings, Environment, ModelTable, Settings

FORMATS = {
    "openai": ("/v1", "gpt-4o-mini"),
    "anthropic": ("/anthropic", "claude-haiku-4-5"),
    "google": ("/gemini", "gemini-2.5-flash"),
}
"""Where it serves each provider, and a model that it knows."""


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    command = [str(Path(sys.executable).parent / "llmock"), "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        found = next(
            (at for line in child.stdout if (at := re.search(r"running on (http://\S+)", line))), None
        )
        assert found is not None, "it did not start"
        try:
            with httpx.Client(base_url=found[1], trust_env=False) as client:
                yield client
        finally:
            child.terminate()


def run(server: httpx.Client, provider: str, folder: Path, *behaviors: dict[str, Any]) -> RunResult:
    """Six questions, while the server misbehaves as it is told."""
    server.post("/_llmock/reset")
    server.post("/_llmock/scenario", json={"behaviors": behaviors}).raise_for_status()
    path, model = FORMATS[provider]
    table = ModelTable(
        provider=provider,
        base_url=str(server.base_url).rstrip("/") + path,
        model=model,
        api_key_env="SOME_KEY",
        input_price=1.0,
        output_price=1.0,
    )
    experiment = Experiment(
        name="Elsewhere",
        dataset=[{"id": str(n), "input": f"Question {n}?", "expected": "x"} for n in range(6)],
        conditions=[Model("m", name="m", temperature=0.5, max_tokens=20)],
        system="Be brief.",
        parse="text",
    )
    settings = Settings(
        models={"m": table}, env=Environment({"SOME_KEY": "k"}), ensemble=EnsembleSettings(retry_delay_s=0.1)
    )
    return api.run(api.prepare(experiment, settings=settings), runtime="in-process", output_dir=folder)


@pytest.mark.parametrize("provider", FORMATS)
def test_it_finds_no_fault_with_how_its_faults_are_taken(
    server: httpx.Client, tmp_path: Path, provider: str
) -> None:
    result = run(
        server,
        provider,
        tmp_path,
        {"type": "fail", "status": 429, "retry_after": 0.2, "times": 2},
        {"type": "fail", "status": 503, "times": 1},
        {"type": "fail", "status": 500, "times": 1},
    )
    assert (result.status, result.completed, result.failed) == ("complete", 6, 0)
    verdict = server.get("/_llmock/verdict").json()
    assert verdict["findings"] == []
    assert (verdict["passed"], verdict["calls"], verdict["attempts"]) == (True, 6, 10)
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    outcomes = sorted(call["outcome"] for call in calls if call["outcome"] != "ok")
    assert outcomes == ["overloaded", "rate_limit", "rate_limit", "server_error"]
    answered = [call for call in calls if call["outcome"] == "ok"]
    assert all(call["text"] and call["input_tokens"] and call["output_tokens"] for call in answered)
    assert {call["finish_reason"] for call in answered} == {"stop"}


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize(("status", "error"), [(401, RefusedKey), (404, ParameterRefused)])
def test_a_refusal_by_it_stops_the_run_and_is_not_tried_again(
    server: httpx.Client,
    tmp_path: Path,
    provider: str,
    status: int,
    error: type[RefusedKey | ParameterRefused],
) -> None:
    with pytest.raises(error):
        run(server, provider, tmp_path, {"type": "fail", "status": status, "times": 100})
    findings = {finding["code"] for finding in server.get("/_llmock/verdict").json()["findings"]}
    assert "retried_non_retryable" not in findings
