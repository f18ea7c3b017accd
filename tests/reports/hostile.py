"""Replies that want to be more than text, and a run that gets them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from crucible_ray import RunResult, api
from crucible_ray.experiment.spec import Dataset, Ensemble, Experiment, Model
from crucible_ray.settings import load_settings
from crucible_ray.simulator import SimulatorConfig, SimulatorProcess
from crucible_ray.simulator.recorded import RecordedReply

MARK = "https://127.0.0.1:9/"
"""Where nothing may ever ask."""
REPLIES = (
    f"<script src='{MARK}s.js'></script><script>document.title='owned'</script>",
    f"<img src={MARK}i.png onerror=\"document.title='owned'\"><style>@import url({MARK}x.css)</style>",
    "</table></main><h1>owned</h1>",
    "\x1b[2J\x1b]0;owned\x07\x00bell and escape",
    "user\u202etxt.exe\u2066 turned around\u200b",
    f"[click]({MARK}) | pipe `tick` ![pic]({MARK}p.png) <{MARK}> ~~gone~~",
    '=HYPERLINK("https://127.0.0.1:9/","click")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1-1; \t tab\r\nand line",
    "x" * 1_000_000,
)


def items(folder: Path) -> Path:
    """A dataset whose own fields are as bad as the replies."""
    path = folder / "items.jsonl"
    lines = [
        {
            "id": f"{k}{reply[:20]}",
            "input": f"Question {k} {reply[:300]}",
            "expected": "A",
            "topic": reply[:30],
        }
        for k, reply in enumerate(REPLIES)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def hostile_run(folder: Path) -> RunResult:
    """Ten questions, each answered with one of the replies by two models, over real HTTP."""
    path = items(folder)
    recorded = folder / "replies.jsonl"
    lines = [
        RecordedReply(model=model, reply=reply, id=f"{k}{reply[:20]}")
        for model in ("one", "two")
        for k, reply in enumerate(REPLIES)
    ]
    recorded.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    with SimulatorProcess(SimulatorConfig(), items=path, replies=recorded) as server:
        tables = [
            f'[models.{name}]\nprovider = "openai"\nmodel = "{name}"\nbase_url = "{server.url}"\n'
            "input_price = 1.0\noutput_price = 1.0"
            for name in ("one", "two")
        ]
        (folder / "crucible.toml").write_text("\n".join(tables))
        experiment = Experiment(
            name="<b>Hostile</b> \u202eeman",
            description=f"<script>document.title='owned'</script> {MARK}",
            hypotheses=["accuracy: two > one"],
            dataset=Dataset(path),
            conditions=[Model("one", name="one"), Ensemble(["one", "two", "two"], name="two")],
            parse="text",
            timeout_s=30.0,
        )
        prepared = api.prepare(experiment, settings=load_settings(folder, {}))
        return api.run(prepared, options=api.Options(output_dir=folder / "results", runtime="in-process"))
