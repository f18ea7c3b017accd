"""What a terminal shows at the end of a run. Plain text; names and model output cannot move the cursor."""

from __future__ import annotations

from crucible_ray.experiment.plan import Plan
from crucible_ray.reduction.analysis import Analysis, Comparison
from crucible_ray.reports import findings, stopping, words
from crucible_ray.reports.blinding import blind_lines
from crucible_ray.reports.facts import RunFacts
from crucible_ray.stats.decision import CAUTIONS


def final_screen(plan: Plan, analysis: Analysis, facts: RunFacts) -> list[str]:
    """The demo's last screen: what was kept, what was found, what to do next."""
    lines = [_trials(plan, analysis, facts), *_mishaps(facts), *stopping.on_screen(analysis)]
    found = findings.headline(analysis)
    if found is not None:
        lines += [_compared(found, analysis), *_verdicts(analysis, found)]
    if found is not None and facts.planted is not None:
        lines.append(_planted(found, facts.planted))
    bound = f"Bound by: {facts.bound_by}"
    lines.append(f"{bound}     Next: {', '.join(facts.next_steps)}" if facts.next_steps else bound)
    return [words.printable(line) for line in lines]


def summary_lines(plan: Plan, analysis: Analysis, facts: RunFacts, report: str = "") -> list[str]:
    """Any run's last lines: the screen, each condition's metrics and failures, the folder, the report to open."""
    lines = final_screen(plan, analysis, facts)[:-1]
    for name, condition in analysis.conditions.items():
        shown = [
            f"{metric} {words.with_interval(metric, found)}"
            for metric, found in condition.metrics.items()
            if found.value is not None
        ]
        lines.append(f"  {name}: " + (", ".join(shown) or "no value"))
        if condition.best_member is not None:
            best = condition.members[condition.best_member]
            lines.append(
                f"    best single member: {condition.best_member} "
                f"{words.with_interval('accuracy', best.accuracy)} (chosen after seeing the results)"
            )
        complete = condition.completeness
        if complete.failed:
            classes = ", ".join(f"{count} x {kind}" for kind, count in complete.errors.items())
            lines.append(f"    {complete.failed} of {complete.planned} failed: {classes}")
            if name in facts.failures:
                lines.append(f"    the first was told: {facts.failures[name]}")
        warned = any(each.kind == "unreadable" and each.condition == name for each in analysis.warnings)
        if complete.parse_failed and not warned:
            lines.append(f"    {complete.parse_failed} answers could not be read and count as wrong")
    lines += blind_lines(analysis)
    if (told := findings.looked_twice(plan, analysis)) is not None:
        lines.append(f"  {told}")
    if (told := findings.unfinished(analysis)) is not None:
        lines.append(f"  {told}")
    lines += [f"  Warning: {found.told}" for found in analysis.warnings]
    if analysis.preregistration is not None:
        lines += [f"  Not as registered: {found.told}" for found in analysis.preregistration.deviations]
    lines += [f"  {told}" for each in analysis.hypotheses if (told := words.needed(each)) is not None]
    lines += [
        f"Bound by: {facts.bound_by}   {words.duration(facts.duration_s)}",
        f"Results saved to: {facts.results_dir}",
    ]
    if report:
        lines.append(f"Report: {report}")
    if facts.next_steps:
        lines.append(f"Next: {', '.join(facts.next_steps)}")
    return [words.printable(line) for line in lines]


def _trials(plan: Plan, analysis: Analysis, facts: RunFacts) -> str:
    complete = [condition.completeness for condition in analysis.conditions.values()]
    answered, failed = sum(part.answered for part in complete), sum(part.failed for part in complete)
    pending = sum(part.pending for part in complete)
    lost = facts.kill.lost if facts.kill is not None else 0
    parts = [f"Trials {answered + failed:,}/{plan.trials:,}"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{pending:,} pending ({facts.status})"] if pending else []
    parts += [f"{lost} lost"] if facts.kill is not None else []
    money = words.dollars(facts.spent_usd)
    if facts.spent_usd and facts.unrecorded_usd > 0.01 * facts.spent_usd:
        money += f" ({words.dollars(facts.unrecorded_usd)} of it held by what was killed, perhaps not spent)"
    if facts.estimated_usd is not None:
        money += f" of {words.dollars(facts.estimated_usd)} estimated"
    parts.append(money + (" (simulated)" if analysis.simulated else ""))
    return "   ".join(parts)


def _mishaps(facts: RunFacts) -> list[str]:
    lines = []
    if facts.kill is not None:
        kill = facts.kill
        lines.append(
            f"  client actor killed on purpose at {kill.at_percent:.0f} %: "
            f"{kill.handed_back} trials handed back, {kill.lost} lost, {kill.doubled} doubled"
        )
    if facts.throttled or facts.retries:
        lines.append(f"  {facts.throttled} x 429 obeyed, {facts.retries} retries")
    return lines


def _compared(found: Comparison, analysis: Analysis) -> str:
    repeats = f" x {analysis.repeats}" if analysis.repeats > 1 else ""
    return f"{found.a} - {found.b}   {words.compared(found)}   paired, {found.items} items{repeats}"


def _verdicts(analysis: Analysis, found: Comparison) -> list[str]:
    naive = words.naive(found)
    lines = [f"  {note}" for note in found.notes if note in CAUTIONS]
    lines += [f"  {naive} for this difference"] if naive else []
    for result in analysis.hypotheses:
        line = f'  "{result.text}": {words.VERDICTS[result.verdict]}'
        if (other := findings.comparison_of(analysis, result)) is not found:
            line += f"   {other.a} - {other.b} {words.compared(other)}"
        lines.append(line)
    return lines


def _planted(found: Comparison, planted: float) -> str:
    shown = words.difference(found.metric, planted)
    if found.ci_low is None or found.ci_high is None:
        return f"  planted in the simulator: {shown}"
    inside = "inside" if found.ci_low <= planted <= found.ci_high else "outside"
    return f"  planted in the simulator: {shown}, {inside} the interval"
