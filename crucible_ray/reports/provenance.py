"""How a run went, and how to do it again: configuration, environment, files, sources."""

from __future__ import annotations

from collections.abc import Iterable

from crucible_ray.experiment.defaults import parse_words
from crucible_ray.experiment.plan import ConditionPlan, Plan, PromptPlan
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import words
from crucible_ray.reports.facts import RunFacts
from crucible_ray.reports.page import Block, Bullets, Code, Commands, Section, Table, Text, quoted, table

_FILES = (
    ("config.json", "the resolved experiment and settings, hypotheses as they were declared"),
    ("dataset.jsonl", "exactly the items used"),
    ("environment.json", "versions, git commit, model versions as reported"),
    ("results.csv, results.parquet", "one row per trial"),
    ("calls.parquet, prompts.parquet", "every model call, every distinct prompt"),
    ("analysis.json", "every number of this report"),
    ("run.json", "clocks, processes and money of the run"),
    ("run.log", "what happened, as JSON lines"),
    ("checkpoints/", "the record that all of this is made from"),
)
_REFERENCES = {
    "mcnemar_score": "McNemar (1947), Psychometrika 12; the interval: Tango (1998), Statistics in Medicine 17.",
    "clustered_t": "Items as clusters: Miller (2024), Adding Error Bars to Evals, arXiv:2411.00640.",
    "adjusted_t": "Items as clusters, two pseudo-items: our own (docs/statistics.md), on Miller (2024), arXiv:2411.00640.",
    "adjusted_wald": "Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37.",
    "betting_sequence": "Waudby-Smith and Ramdas (2024), Journal of the Royal Statistical Society B 86.",
    "obrien_fleming": "O'Brien and Fleming (1979), Biometrics 35; Lan and DeMets (1983), Biometrika 70.",
    "wilson": "Wilson (1927), Journal of the American Statistical Association 22.",
    "stratified_t": "Strata: Cochran (1977), Sampling Techniques.",
    "cluster_t": "Clusters: Bell and McCaffrey (2002), Survey Methodology 28; Pustejovsky and Tipton (2018), JBES 36.",
    "sign_flip": "Sign flips: Fisher (1935), The Design of Experiments; Hartigan (1969), JASA 64.",
    "quantile_bootstrap": "Bootstrap: Efron (1979), Annals of Statistics 7; ranks: Woodruff (1952), JASA 47.",
    "ratio_bootstrap": "Bootstrap: Efron (1979), Annals of Statistics 7; ratios: Fieller (1954), JRSS B 16.",
    "cochran_q": "Cochran (1950), Biometrika 37.",
    "friedman": "Friedman (1937), JASA 32.",
    "max_t": "Several comparisons: Hothorn, Bretz and Westfall (2008), Biometrical Journal 50.",
    "holm": "Holm (1979), Scandinavian Journal of Statistics 6.",
}
_PROMPT = 600
"""Characters of a prompt that are shown; `config.json` has it whole."""


def how_it_ran(plan: Plan, facts: RunFacts | None) -> list[Section]:
    """Order, processes, calls, and what bound the run."""
    order = "seeded permutation of blocks" if plan.randomize else "as the dataset stands"
    lines = [f"Order: {order}, seed {plan.seed}."]
    if facts is None:
        lines.append("Nothing is recorded of clocks and processes.")
    else:
        clients = words.count(facts.clients, "client")
        session = "," if facts.begun is None else " in all; in the last session"
        lines += [
            f"{facts.runtime}, {clients}, {facts.calls:,} calls{session} {facts.retries:,} retries, {facts.throttled:,} times "
            f"throttled, {words.duration(facts.quota_wait_s)} of waiting for limits in all.",
            f"Bound by: {facts.bound_by}.",
            *_mishaps(facts),
        ]
    return [Section("How it was run", (Bullets(tuple(lines)),))]


def _mishaps(facts: RunFacts) -> list[str]:
    lines = []
    if facts.kill is not None:
        lines.append(
            f"A client actor was killed on purpose at {facts.kill.at_percent:.0f} %: {facts.kill.handed_back} trials "
            f"handed back, {facts.kill.lost} lost, {facts.kill.doubled} doubled."
        )
    if facts.planted is not None:
        planted = words.difference("accuracy", facts.planted)
        lines.append(f"Planted in the simulator as the true difference: {planted} points.")
    return lines


def reproducing(plan: Plan, analysis: Analysis, facts: RunFacts | None) -> list[Section]:
    """How to do it again, with what it was done, what lies beside the report, and where the methods come from."""
    blocks: list[Block] = []
    sources = tuple(_references(analysis))
    if facts is not None and facts.reproduce:
        blocks.append(Commands(facts.reproduce))
    blocks.append(
        Text(
            f"To cite: {analysis.name}, experiment {analysis.experiment_id}, dataset {plan.dataset}, "
            f"seed {plan.seed}; the id is a hash of everything that can change an answer."
        )
    )
    return [
        Section("How to reproduce", tuple(blocks)),
        Section("Configuration", (_configuration(plan),), level=3),
        Section("Environment", _environment(facts), level=3),
        Section("Files", (_files(),), level=3),
        *([Section("References", (Bullets(sources),), level=3)] if sources else []),
    ]


def _references(analysis: Analysis) -> list[str]:
    """Where the methods that were used come from."""
    used = {c.test for c in analysis.comparisons} | {
        metric.method for condition in analysis.conditions.values() for metric in condition.metrics.values()
    }
    used |= {analysis.correction} if len(analysis.hypotheses) > 1 else set()
    used |= {name for group in analysis.groups for name in (group.test, group.method)}
    return [text for name, text in _REFERENCES.items() if name in used]


def _configuration(plan: Plan) -> Table:
    rows: list[tuple[str, str]] = [
        ("dataset", plan.dataset),
        *(("version", f"{each.name} {each.version}") for each in plan.datasets if each.version != "none"),
        ("SHA-256 of the items", Code(plan.dataset_checksum)),
        ("items, repeats, seed", f"{plan.items:,}, {plan.repeats}, {plan.seed}"),
        ("metrics", ", ".join(plan.metrics)),
        ("correction", f"{plan.analysis.correction} at alpha {plan.analysis.alpha:g}"),
    ]
    rows += [(condition.name, described(condition)) for condition in plan.conditions]
    rows += prompts(plan)
    rows.append(("replies read by", _parsers(plan)))
    return table("What was asked for", ("setting", "value"), rows)


def _parsers(plan: Plan) -> str:
    """What reads the replies, with whose it is where there are several."""
    whose = _whose(
        (parse_words(parse), condition.name)
        for condition in plan.conditions
        for parse in condition.parses or (condition.parse,)
    )
    return (
        next(iter(whose))
        if len(whose) == 1
        else "; ".join(f"{parse} ({who})" for parse, who in whose.items())
    )


def prompts(plan: Plan) -> list[tuple[str, str]]:
    """Each distinct prompt, with whose it is where there are several."""
    whose = _whose(
        (_turns(prompt), condition.name if call.prompt is None else f"{condition.name} ({call.model.name})")
        for condition in plan.conditions
        for call, prompt in zip(condition.calls, condition.prompts, strict=True)
    )
    if len(whose) == 1:
        return [("prompt", quoted(text, _PROMPT)) for text in whose]
    return [(f"prompt of {who}", quoted(text, _PROMPT)) for text, who in whose.items()]


def _whose(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By text: the names that it goes with, each once."""
    found: dict[str, dict[str, None]] = {}
    for text, name in pairs:
        found.setdefault(text, {})[name] = None
    return {text: ", ".join(names) for text, names in found.items()}


def _turns(prompt: PromptPlan) -> str:
    """A prompt on one line of a table: the user's turn alone as it stands, others with their roles."""
    parts = [] if prompt.system is None else [f"system: {prompt.system}"]
    parts += [] if prompt.few_shot is None else [f"{prompt.few_shot.k} examples"]
    if not parts and len(prompt.turns) == 1:
        return prompt.turns[0].content
    return " | ".join([*parts, *(f"{turn.role}: {turn.content}" for turn in prompt.turns)])


def _environment(facts: RunFacts | None) -> tuple[Block, ...]:
    if facts is None:
        return ()
    rows = [(name, version) for name, version in facts.versions.items()]
    rows += [(f"{model} answered as", quoted(version)) for model, version in facts.model_versions.items()]
    return (table("With what it was run", ("part", "version"), rows),) if rows else ()


def _files() -> Table:
    return table(
        "What lies beside this report", ("file", "holds"), [(Code(name), holds) for name, holds in _FILES]
    )


def described(condition: ConditionPlan) -> str:
    """A condition in words: the author's, its models, their parameters, its vote."""
    about = condition.description
    return f"{about} ({_made_of(condition)})" if about else _made_of(condition)


def _made_of(condition: ConditionPlan) -> str:
    calls = [
        call.model.name
        + "".join(
            f", {name} {setting:g}"
            for name, setting in (("temperature", call.temperature), ("max_tokens", call.max_tokens))
            if setting is not None
        )
        for call in condition.calls
    ]
    if condition.function is not None:
        about = condition.function.description.partition("\n")[0]
        return f"function {condition.function.name}" + (f": {about}" if about else "")
    if condition.vote is None:
        return calls[0] if calls else condition.kind
    return f"{condition.vote} vote of " + "; ".join(calls)
