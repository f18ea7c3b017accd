"""Does a vote of three models beat one of them? Real questions, and what real models answered to them.

    python examples/mmlu_stem_recorded/run.py --data ../shared/data

GPT-4o alone stands against the majority of Gemini 1.5 Flash, GPT-4o and Claude 3 Opus, over every STEM
question of MMLU for which their answers were recorded. The answers come over real HTTP, each model's in its
provider's own wire format, from a server of this machine that plays recordings; so accuracies and verdicts are
real, costs are what the prompts would weigh at list prices, and latencies say something about this machine alone.

`--data` names a folder with `mmlu/test/<subject>_test.csv` (question, choice0 to choice3, answer as 0 to
3) and `recorded/mmlu_helm10.jsonl`, of which a line is `{"subject", "index", "answer", "preds": {model:
letter}}`, `index` being the question's row in its subject's file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from crucible_ray import Ensemble, Experiment, Model, RunResult, api
from crucible_ray.datasets import STEM, load_items
from crucible_ray.errors import CrucibleError, DatasetError
from crucible_ray.records import Item
from crucible_ray.settings import ModelTable, load_settings
from crucible_ray.simulator import RecordedReply, SimulatorConfig, SimulatorProcess

VOTERS = {
    "google/gemini-1.5-flash": "google_gemini-1.5-flash-preview-0514",
    "openai/gpt-4o-2024-05-13": "openai_gpt-4o-2024-05-13",
    "anthropic/claude-3-opus-20240229": "anthropic_claude-3-opus-20240229",
}
"""Our names in the order in which ties are broken; what the recordings call them."""
ALONE = "openai/gpt-4o-2024-05-13"
PORT = 18_351
"""The address is part of what an experiment is, so a fixed port lets an interrupted run go on."""


class Recorded(NamedTuple):
    """One question, and each voter's answer to it, in the voters' order."""

    item: Item
    answers: tuple[str, ...]


def read_recorded(data: Path) -> list[Recorded]:
    """Every STEM question that has recorded answers, in MMLU's order. Raises DatasetError."""
    source = data / "recorded" / "mmlu_helm10.jsonl"
    try:
        lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DatasetError(
            f"{source} cannot be read: {error.strerror}. Name its folder by --data."
        ) from error
    answers = {
        f"{line['subject']}/{line['index']}": tuple(line["preds"][name] for name in VOTERS.values())
        for line in lines
        if line["subject"] in STEM
    }
    items = load_items("mmlu_stem", base=data, path="mmlu").items
    return [Recorded(item, answers[item.id]) for item in items if item.id in answers]


def counted_directly(recorded: Sequence[Recorded]) -> dict[str, float]:
    """The accuracies of every voter and of `majority` by plain counting, to hold the run's against."""
    right = Counter[str]()
    for item, answers in recorded:
        right.update(name for name, answer in zip(VOTERS, answers, strict=True) if answer == item.expected)
        votes = Counter(answers)
        right["majority"] += max(answers, key=votes.__getitem__) == item.expected
    return {name: right[name] / len(recorded) for name in (*VOTERS, "majority")}


def experiment(recorded: Sequence[Recorded]) -> Experiment:
    """The question, as one would put it to the providers themselves."""
    return Experiment(
        name="Ensemble vs single model, recorded",
        description="Does the majority of three models answer more STEM questions rightly than GPT-4o alone?",
        dataset=[item for item, _ in recorded],
        conditions=[
            Model(ALONE, name="single_model"),
            Ensemble(list(VOTERS), name="ensemble_3model", vote="majority"),
        ],
        hypotheses=[
            "accuracy: ensemble_3model > single_model",
            "accuracy: ensemble_3model > single_model + 0.05",
        ],
        metrics=["accuracy", "consensus", "cost_per_query", "latency_p50", "latency_p95", "latency_p99"],
        temperature=0.0,
        max_tokens=100,
        seed=42,
    )


def play(
    recorded: Sequence[Recorded],
    work: Path,
    *,
    runtime: str = "ray",
    port: int = PORT,
    on_progress: Callable[[api.Progress], None] | None = None,
) -> RunResult:
    """Serve the recordings and run the experiment against them; results go to `work/results`.

    Raises CrucibleError.
    """
    items, replies = work / "items.jsonl", work / "replies.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    items.write_bytes(msgspec.json.Encoder().encode_lines([item for item, _ in recorded]))
    replies.write_bytes(msgspec.json.Encoder().encode_lines(_replies(recorded)))
    with SimulatorProcess(SimulatorConfig(), items=items, replies=replies, port=port) as server:
        # The same three names would reach their providers if these tables were not there.
        settings = msgspec.structs.replace(
            load_settings(work, os.environ), models={name: _served(name, server.url) for name in VOTERS}
        )
        prepared = api.prepare(experiment(recorded), settings=settings)
        return api.run(prepared, runtime=runtime, output_dir=work / "results", on_progress=on_progress)


def _served(name: str, url: str) -> ModelTable:
    """Each model in its provider's own format; only OpenAI's addresses end in /v1."""
    provider = name.partition("/")[0]
    return ModelTable(provider=provider, base_url=url if provider == "openai" else url.removesuffix("/v1"))


def _replies(recorded: Sequence[Recorded]) -> list[RecordedReply]:
    return [
        RecordedReply(model=name.partition("/")[2], id=item.id, reply=answer)
        for item, answers in recorded
        for name, answer in zip(VOTERS, answers, strict=True)
    ]


def report(result: RunResult, direct: dict[str, float]) -> list[str]:
    """What was found, beside what plain counting finds."""
    single, ensemble = (result.analysis.conditions[name] for name in ("single_model", "ensemble_3model"))
    found = {ALONE: single.metrics["accuracy"].value, "majority": ensemble.metrics["accuracy"].value}
    lines = [f"{'accuracy':34} {'run':>7} {'counted':>9}"]
    lines += [f"{name:34} {value or 0:7.4f} {direct[name]:9.4f}" for name, value in found.items()]
    lines += ["", "each member by its own votes"]
    for name, member in ensemble.members.items():
        best = "   the best single one" if name == ensemble.best_member else ""
        lines.append(f"{name:34} {member.accuracy.value or 0:7.4f} {direct[name]:9.4f}{best}")
    difference = result.analysis.comparisons[0]
    lines += [
        "",
        f"majority - GPT-4o: {difference.estimate:+.4f} [{difference.ci_low:.4f}, {difference.ci_high:.4f}], "
        f"p = {difference.p_value:.4f}",
        f"  {difference.reason}",
        *(f"  {hypothesis.text}: {hypothesis.verdict}" for hypothesis in result.analysis.hypotheses),
        "",
        f"{result.completed:,} of {result.planned:,} trials answered, {result.calls_made:,} calls now",
        f"results: {result.results_dir}",
    ]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="the folder with mmlu/ and recorded/"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("results/mmlu_stem_recorded"), help="where everything goes"
    )
    parser.add_argument("--in-process", action="store_true", help="without Ray")
    parser.add_argument("--port", type=int, default=PORT, help="of the server that plays the recordings")
    options = parser.parse_args(argv)
    try:
        recorded = read_recorded(options.data)
        print(f"{len(recorded):,} questions with recorded answers; serving and asking ...", file=sys.stderr)
        runtime = "in-process" if options.in_process else "ray"
        result = play(recorded, options.work, runtime=runtime, port=options.port, on_progress=_show)
        if result.status != "complete":
            print(
                f"{result.status}, {result.pending:,} trials to go: the same command goes on.",
                file=sys.stderr,
            )
            return 130 if result.status == "interrupted" else 1
        print("\n".join(report(result, counted_directly(recorded))))
        again = api.reproduce(result.results_dir)
    except CrucibleError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"replayed from its own record: {'the same bytes' if again.same else 'DIFFERENT'}")
    return 0 if again.same and not result.failed else 1


def _show(progress: api.Progress) -> None:
    print(f"  {progress.phase}: {progress.done:,} of {progress.trials:,}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
