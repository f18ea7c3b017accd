"""A run says at once that its scores mean little, and says it again at its end and in its log."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from crucible_ray import api
from crucible_ray.api.progress import note_line
from crucible_ray.simulator import SimulatedModel, SimulatorConfig, SimulatorProcess
from crucible_ray.simulator.recorded import RecordedReply
from tests.integration.lab import MODELS, prepared


def test_silent_zeros_are_said_during_the_run_once_each_and_again_in_log_screen_and_report(
    tmp_path: Path,
) -> None:
    asked = prepared(tmp_path, "http://127.0.0.1:9/v1")
    items = tmp_path / "items.jsonl"
    items.write_bytes(b"\n".join(map(msgspec.json.encode, asked.items)))
    replies = tmp_path / "replies.jsonl"
    lines = [
        RecordedReply(model=model, reply=reply, id=item.id)
        for item in asked.items
        for model, reply in (("small", "B"), ("medium", ""), ("large", f"No idea about {item.id}."))
    ]
    replies.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    config = SimulatorConfig(default=SimulatedModel(name="default", latency_s=0.1))
    notes: list[api.Note] = []
    heard_at: list[int] = []
    done = [0]

    def on_note(note: api.Note) -> None:
        notes.append(note)
        heard_at.append(done[0])

    def on_progress(progress: api.Progress) -> None:
        done[0] = progress.done

    with SimulatorProcess(config, items=items, replies=replies) as server:
        result = api.run(
            prepared(tmp_path, server.url, repeat=3),
            options=api.Options(
                output_dir=tmp_path / "results",
                runtime="in-process",
                max_concurrent_queries=20,
                on_note=on_note,
                on_progress=on_progress,
                progress_every_s=0.05,
            ),
        )
    silent = [note for note in notes if note.name == "silent_zeros"]
    which = {(note.facts["kind"], note.facts["condition"], note.facts.get("member")) for note in silent}
    assert len(which) == len(silent)
    assert {("same_reply", "single", None), ("same_reply", "trio", "small")} <= which
    assert heard_at[notes.index(silent[0])] < result.planned
    assert all(note_line(note).startswith("Warning: ") for note in silent)
    assert {each.kind for each in result.analysis.warnings} == {kind for kind, *_ in which}
    log = [json.loads(line) for line in (result.results_dir / "run.log").read_text().splitlines()]
    assert {"warning"} == {line["level"] for line in log if line["event"] == "silent_zeros"}
    report = result.reports["markdown"].read_text()
    assert "## Warnings" in report
    assert "single: 100 % of 300 replies are the same, whatever was asked." in report
    assert set(MODELS) == {"small", "medium", "large"}
