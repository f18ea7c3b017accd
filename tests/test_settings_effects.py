"""Every key of `crucible.toml` does what its meaning says: one behaviour a key, and no key without one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from crucible_ray import Budget, Ensemble, Experiment, Model, api, predict
from crucible_ray.api import Options, Prepared, RunResult
from crucible_ray.api.doctoring import examine
from crucible_ray.api.logging import RunLog
from crucible_ray.cli.main import main
from crucible_ray.cli.session import attend
from crucible_ray.cli.terminal import Terminal
from crucible_ray.errors import SettingsError, SpecError
from crucible_ray.estimating import Estimate, estimate_lines
from crucible_ray.reduction import Analysis, reduce
from crucible_ray.settings import LoggingSettings, RunSettings, keys, load_settings
from tests.reduction.rows import batches, plan, row

_F = TypeVar("_F", bound=Callable[..., None])
SHOWN: set[str] = set()
MODELS = """
[models.quick]
provider = "simulated"
accuracy = 0.8
input_price = 1000.0
output_price = 2000.0
[models.stuck]
provider = "simulated"
latency_s = 25.0
[models.far]
provider = "openai"
model = "far"
base_url = "https://models.invalid/v1"
input_price = 1.0
output_price = 2.0
"""
EXPERIMENT = """
name = "Effects"
dataset = "demo"
sample_size = 4
max_tokens = 20
hypotheses = ["accuracy: three > one"]
[[conditions]]
type = "model"
name = "one"
model = "quick"
[[conditions]]
type = "ensemble"
name = "three"
members = ["quick", "quick", "quick"]
"""


def shows(*names: str) -> Callable[[_F], _F]:
    """Marks a test as the one that shows the effect of these keys."""

    def mark(test: _F) -> _F:
        SHOWN.update(names)
        return test

    return mark


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.toml").write_text(EXPERIMENT)
    (tmp_path / "crucible.toml").write_text(MODELS)
    return tmp_path


def configured(text: str) -> None:
    Path("crucible.toml").write_text(text + MODELS)


def prepared(text: str = "", **changes: Any) -> Prepared:
    """A small experiment under these settings."""
    configured(text)
    options: dict[str, Any] = {
        "name": "Effects",
        "dataset": "demo",
        "sample_size": 4,
        "max_tokens": 20,
        "hypotheses": ["accuracy: three > one"],
        "conditions": [Model("far", name="one"), Ensemble(["far", "far", "far"], name="three")],
    }
    return api.prepare(Experiment(**{**options, **changes}))


def forecast(text: str = "", **changes: Any) -> Estimate:
    return prepared(text, **changes).estimate()


def ran(text: str = "", **options: Any) -> RunResult:
    configured(text)
    conditions: list[Model | Ensemble] = [
        Model("quick", name="one"),
        Ensemble(["quick", "quick", "quick"], name="three"),
    ]
    experiment = Experiment(
        name="Effects", dataset="demo", sample_size=4, max_tokens=20, conditions=conditions
    )
    return api.run(experiment, runtime="in-process", **options)


# -- ensemble ----------------------------------------------------------------------------------------------------------


@shows("ensemble.default_models")
def test_predict_asks_the_default_models(here: Path) -> None:
    configured('[ensemble]\ndefault_models = ["quick", "gpt4o"]\n')
    assert predict("2 + 2?", simulate=True, timeout_s=30).models_used == ("quick", "gpt4o")


@shows("ensemble.default_timeout_s")
def test_predict_waits_so_long(here: Path) -> None:
    configured("[ensemble]\ndefault_timeout_s = 0.2\nmax_retries = 0\n")
    found = predict("2 + 2?", ["stuck"])
    assert (found.answer, found.failures, found.error) == (None, 1, "no_quorum")


@shows("ensemble.default_vote", "ensemble.default_execution")
def test_ensembles_vote_and_run_as_configured_and_what_is_to_come_is_refused_by_name(here: Path) -> None:
    text = '[ensemble]\ndefault_vote = "majority"\ndefault_execution = "parallel"\n'
    assert prepared(text).plan.conditions[1].vote == "majority"
    for name, word in (("default_vote", "weighted"), ("default_execution", "cascade")):
        with pytest.raises(SettingsError, match=f"'{word}' is not supported by this version"):
            prepared(f'[ensemble]\n{name} = "{word}"\n')


@shows("ensemble.rate_limit")
def test_members_are_paced(here: Path) -> None:
    plan = prepared("[ensemble]\nrate_limit = 2\n").plan
    assert {call.model.limits.requests_per_minute for call in plan.conditions[1].calls} == {120.0}
    assert plan.conditions[0].calls[0].model.limits.requests_per_minute is None


@shows("ensemble.max_retries", "ensemble.retry_delay_s")
def test_calls_are_retried_so_often_and_so_soon(here: Path) -> None:
    plan = prepared("[ensemble]\nmax_retries = 7\nretry_delay_s = 0.5\n").plan
    assert (plan.max_retries, plan.retry_delay_s) == (7, 0.5)


@shows("ensemble.default_normalization")
def test_answers_are_matched_as_configured(here: Path) -> None:
    text = '[ensemble]\ndefault_normalization = "none"\n'
    assert [each.normalize for each in prepared(text).plan.conditions] == ["none", "none"]


# -- datasets ----------------------------------------------------------------------------------------------------------


@shows("datasets.cache_dir")
def test_datasets_are_kept_there(here: Path) -> None:
    configured('[datasets]\ncache_dir = "kept"\n')
    (found,) = [each for each in examine(here, {}) if each.name == "dataset cache"]
    assert found.says.startswith("kept")


@shows("datasets.versions")
def test_a_dataset_of_another_version_is_refused(here: Path) -> None:
    assert prepared('[datasets.versions]\ndemo = "demo-1"\n').plan.items == 4
    with pytest.raises(SpecError, match=r"has version 'demo-1'.*wants 'demo-0'"):
        prepared('[datasets.versions]\ndemo = "demo-0"\n')


# -- run ---------------------------------------------------------------------------------------------------------------


@shows("run.results_dir", "run.checkpoint_dir", "run.checkpoint_interval")
def test_results_and_record_go_where_they_should_and_checkpoints_are_marked(here: Path) -> None:
    result = ran('[run]\nresults_dir = "out"\ncheckpoint_dir = "kept"\ncheckpoint_interval = 2\n')
    assert result.results_dir == Path("out") / result.experiment_id
    assert (here / "out" / result.experiment_id / "results.csv").is_file()
    assert list((here / "kept" / result.experiment_id).glob("checkpoint_*.parquet"))
    assert not (result.results_dir / "checkpoints").exists()
    assert api.observe(result.results_dir).checkpoints[0].rows >= 2


@shows("run.auto_resume")
def test_without_auto_resume_a_recorded_run_is_not_gone_on_with(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "exp.toml", "--in-process", "--quiet"]) == 0
    configured("[run]\nauto_resume = false\n")
    assert main(["run", "exp.toml", "--in-process", "--quiet"]) == 2
    assert "already holds 8 trials" in capsys.readouterr().err


@shows("run.confirm_costs")
def test_costs_are_asked_about_unless_that_is_off(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[ensemble]\nmax_retries = 0\n[models.free]\nbase_url = 'http://127.0.0.1:9/v1'\nmodel = 'x'\n"
    (here / "exp.toml").write_text(EXPERIMENT.replace('"quick"', '"free"'))
    configured(text)
    assert main(["run", "exp.toml", "--in-process", "--quiet"]) == 2
    assert "add --yes" in capsys.readouterr().err
    configured(f"[run]\nconfirm_costs = false\n{text}")
    assert (
        main(["run", "exp.toml", "--in-process", "--quiet"]) == 1
    )  # nobody listens there: every trial failed


@shows("run.max_concurrent_queries")
def test_fewer_trials_at_once_take_longer(here: Path) -> None:
    slow = forecast("[run]\nmax_concurrent_queries = 1\n[ensemble]\nrate_limit = 1000\n")
    assert slow.bound_by == "calls in flight"
    assert slow.parallel_speedup == pytest.approx(1.0)
    assert forecast("[ensemble]\nrate_limit = 1000\n").parallel_speedup > 2


@shows("run.clients")
def test_so_many_clients_work(here: Path) -> None:
    assert ran("[run]\nclients = 3\n").facts.clients == 3


@shows("run.address")
def test_the_cluster_is_joined(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured('[run]\naddress = "127.0.0.1:9"\n')
    assert main(["run", "exp.toml"]) == 5
    assert "the cluster at 127.0.0.1:9 cannot be joined" in capsys.readouterr().err


@shows("run.global_rate_limit")
def test_the_whole_run_is_paced(here: Path) -> None:
    found = forecast("[run]\nglobal_rate_limit = 0.5\n")
    assert found.bound_by == "the experiment's rate limit"
    assert found.estimated_duration_s > 32


@shows("run.disable_rate_limiting")
def test_no_limit_of_ours_is_left(here: Path) -> None:
    text = "[run]\nglobal_rate_limit = 0.5\ndisable_rate_limiting = true\n"
    plan = prepared(text).plan
    assert plan.rate_limit is None
    limits = {call.model.limits for condition in plan.conditions for call in condition.calls}
    assert all(limit.requests_per_minute is None for limit in limits)


@shows("run.seed")
def test_experiments_without_a_seed_get_this_one(here: Path) -> None:
    assert prepared("[run]\nseed = 9\n").plan.seed == 9
    assert prepared("[run]\nseed = 9\n", seed=3).plan.seed == 3


@shows("run.report_formats")
def test_the_reports_that_are_named_are_written(here: Path) -> None:
    assert set(ran('[run]\nreport_formats = ["html"]\n').reports) == {"html"}


def heard(run: RunSettings) -> Options:
    """What the command hands on to a run."""
    seen: list[Options] = []

    def work(options: Options) -> Any:
        seen.append(options)

    attend(Terminal(), work, Options(), run, None)
    return seen[0]


@shows("run.progress_update_interval_s")
def test_progress_is_told_so_often(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert heard(RunSettings(progress_update_interval_s=7.0)).progress_every_s == 7.0


@shows("run.show_progress_bar")
def test_without_a_bar_no_progress_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard(RunSettings(show_progress_bar=True))
    assert "starting" in capsys.readouterr().err
    heard(RunSettings(show_progress_bar=False))
    assert capsys.readouterr().err == ""


# -- budget ------------------------------------------------------------------------------------------------------------


@shows("budget.max_total", "budget.max_per_condition", "budget.abort_on_exceed")
def test_experiments_without_a_budget_get_this_one(here: Path) -> None:
    text = "[budget]\nmax_total = 5\nmax_per_condition = 2\nabort_on_exceed = true\n"
    budget = prepared(text).plan.budget
    assert (budget.max_total, budget.max_per_condition, budget.abort_on_exceed) == (5.0, 2.0, True)
    own = prepared(text, budget=Budget(max_total=1.0)).plan.budget
    assert (own.max_total, own.max_per_condition) == (1.0, None)


def test_a_strict_profile_holds_for_budgets_that_do_not_say_otherwise(here: Path) -> None:
    text = "[budget]\nabort_on_exceed = true\nwarn_threshold = 0.5\n"
    budget = prepared(text, budget=Budget(max_total=1.0)).plan.budget
    assert (budget.abort_on_exceed, budget.warn_threshold) == (True, 0.5)
    lenient = prepared(text, budget=Budget(max_total=1.0, abort_on_exceed=False, warn_threshold=0.9))
    assert (lenient.plan.budget.abort_on_exceed, lenient.plan.budget.warn_threshold) == (False, 0.9)


@shows("budget.warn_threshold")
def test_an_estimate_near_the_budget_is_warned_about(here: Path) -> None:
    cost = forecast().total_cost
    assert cost is not None

    def warnings(threshold: float) -> list[str]:
        found = prepared(f"[budget]\nmax_total = {2 * cost}\nwarn_threshold = {threshold}\n")
        return [line for line in estimate_lines(found.plan, found.estimate()) if line.startswith("Warning")]

    assert warnings(0.4)
    assert not warnings(0.6)


# -- stats -------------------------------------------------------------------------------------------------------------


@shows("stats.alpha", "stats.confidence_level", "stats.multiple_testing_correction")
def test_inference_is_as_configured(here: Path) -> None:
    text = '[stats]\nalpha = 0.01\nconfidence_level = 0.9\nmultiple_testing_correction = "fdr"\n'
    analysis = prepared(text).plan.analysis
    assert (analysis.alpha, analysis.confidence, analysis.correction) == (0.01, 0.9, "fdr")
    strict, usual = (forecast(given, sample_size=80).power[0].power for given in (text, ""))
    assert strict is not None
    assert usual is not None
    assert strict[1] < usual[1]


OWN_ANALYSIS = """
[stats]
auto_select_test = {auto}
check_assumptions = {checks}
effect_size_measures = {sizes}
bootstrap_iterations = {draws}
"""


def analysed(auto: str = "true", checks: str = "true", sizes: str = "[]", draws: int = 10_000) -> Analysis:
    """A hundred items whose answers and latencies differ now and then, under these settings."""
    text = OWN_ANALYSIS.format(auto=auto, checks=checks, sizes=sizes, draws=draws)
    how = prepared(text).plan.analysis
    rows = [
        row(t, int(t % 7 > t % 2), latency_us=1000 * (100 + t * 37 % 91 + 5 * (t % 2)), cost_usd=0.001)
        for t in range(200)
    ]
    return reduce(plan(100, metrics=("accuracy", "latency_mean", "latency_p50"), analysis=how), batches(rows))


@shows("stats.auto_select_test")
def test_the_test_follows_the_outcome_or_is_t_on_item_means_throughout(here: Path) -> None:
    assert [each.test for each in analysed().comparisons] == [
        "mcnemar_score",
        "clustered_t",
        "quantile_bootstrap",
    ]
    plain = analysed(auto="false").comparisons
    assert [each.test for each in plain] == ["clustered_t", "clustered_t", "quantile_bootstrap"]
    assert "asked for by name" in plain[0].reason


@shows("stats.check_assumptions")
def test_assumptions_are_checked_or_not(here: Path) -> None:
    found = analysed().comparisons[1]
    assert [each.test for each in found.checks] == ["shapiro_wilk", "levene"]
    assert [each.test for each in found.others] == ["wilcoxon", "paired_permutation"]
    bare = analysed(checks="false").comparisons[1]
    assert (bare.checks, bare.others) == ((), ())
    assert (bare.p_value, bare.naive) == (found.p_value, found.naive)


@shows("stats.effect_size_measures")
def test_effect_sizes_are_those_that_are_asked_for_or_what_suits_the_outcome(here: Path) -> None:
    usual = analysed().comparisons
    assert [[size.measure for size in each.sizes] for each in usual] == [
        ["cohens_h"],
        ["cohens_d", "cohens_dz"],
        [],
    ]
    asked = analysed(sizes='["cliffs_delta", "eta_squared"]').comparisons
    assert [size.measure for size in asked[0].sizes] == ["cliffs_delta", "eta_squared"]
    with pytest.raises(SettingsError, match="'cohens_d'"):
        analysed(sizes='["cohens_q"]')


@shows("stats.bootstrap_iterations")
def test_a_bootstrap_draws_so_often(here: Path) -> None:
    notes = [analysed(draws=draws).comparisons[2].notes for draws in (10_000, 500)]
    assert notes == [("10,000 draws, seed 0",), ("500 draws, seed 0",)]


@shows("stats.power.enable", "stats.power.desired")
def test_power_is_forecast_for_the_power_that_is_wanted_or_not_at_all(here: Path) -> None:
    usual, more = forecast().power[0], forecast("[stats.power]\ndesired = 0.95\n").power[0]
    assert (usual.target_power, more.target_power) == (0.8, 0.95)
    assert usual.items_needed is not None
    assert more.items_needed is not None
    assert (more.items_needed[0] or 0) > (usual.items_needed[0] or 0)
    assert forecast("[stats.power]\nenable = false\n").power == ()


@shows("stats.power.min_detectable_effect")
def test_the_smallest_effect_of_interest_says_how_many_items_find_it(here: Path) -> None:
    def told(text: str = "") -> str:
        found = prepared(text)
        return "\n".join(estimate_lines(found.plan, found.estimate()))

    assert (
        "Smallest effect of interest ([stats.power] min_detectable_effect): 0.21 standard deviations of an item's "
        "difference, which 180 items find with 0.80; 4 items find 2.1 standard deviations"
    ) in told("[stats.power]\nmin_detectable_effect = 0.21\n")
    # R: power.t.test(delta = .21, sd = 1, power = .8, type = "paired")$n is 179.9, of n = 4 $delta is 2.128
    assert "0.5 standard deviations of an item's difference, which 34 items" in told(
        "[stats.power]\nmin_detectable_effect = 0.5\n"
    )
    assert "Smallest effect" not in told()  # nobody asked for one


# -- logging -----------------------------------------------------------------------------------------------------------


def logged(folder: Path, **settings: Any) -> list[str]:
    with RunLog(folder, settings=LoggingSettings(**settings), experiment_id="exp_1") as log:
        log.info("told", text="x" * 50 + "\x1b[2J\n", condition="one", other=1)
    return (folder / "run.log").read_text().splitlines()


@shows("logging.format")
def test_the_log_is_json_or_one_printable_line_for_people(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, format="json")
    assert json.loads(line)["text"].endswith("\x1b[2J\n")
    (tmp_path / "run.log").unlink()
    (line,) = logged(tmp_path, format="text")
    assert "level=info event=told" in line
    assert line.isprintable()


@pytest.mark.parametrize("format", ["json", "text"])
def test_no_key_is_in_the_log_whatever_its_format(tmp_path: Path, format: str) -> None:
    key = 'sk-can"ary'
    settings = LoggingSettings(format=format)  # type: ignore[arg-type]
    with RunLog(tmp_path, settings=settings, experiment_id="exp_1", secrets=[key]) as log:
        log.info("told", text=f"refused: {key}, key={key}")
    text = (tmp_path / "run.log").read_text()
    assert "ary" not in text
    assert text.count("[key]") == 2


@shows("logging.truncate")
def test_long_values_are_cut(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, truncate=20)
    assert json.loads(line)["text"] == "x" * 20 + " ... (55 characters)"


@shows("logging.fields")
def test_lines_say_of_their_place_what_was_asked_for(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, fields=("condition",))
    assert {"condition", "other"} <= json.loads(line).keys()
    assert "experiment_id" not in json.loads(line)


@shows("logging.level", "logging.http_requests")
def test_debug_logs_every_trial_and_requests_are_logged_where_that_is_asked_for(here: Path) -> None:
    result = ran('[logging]\nlevel = "debug"\nhttp_requests = true\n')
    lines = [json.loads(line) for line in (result.results_dir / "run.log").read_text().splitlines()]
    trials = [line for line in lines if line["event"] == "trial"]
    requests = [line for line in lines if line["event"] == "http_request"]
    assert sorted(line["trial"] for line in trials) == list(range(8))
    assert {line["condition"] for line in trials} == {"one", "three"}
    assert len(requests) == 16
    assert {(line["method"], line["status"], line["model"]) for line in requests} == {("POST", 200, "quick")}
    assert all(line["url"].startswith("http://127.0.0.1:") and line["duration_ms"] >= 0 for line in requests)
    assert {line["query_id"] for line in requests} == {line["query_id"] for line in trials}
    quiet = ran('[logging]\nlevel = "error"\nhttp_requests = true\n', force=True)
    assert (quiet.results_dir / "run.log").read_text().count("\n") == len(lines)


def test_requests_of_functions_are_logged_with_their_address(here: Path) -> None:
    configured("[logging]\nhttp_requests = true\n")

    async def asks(item: Any, call: Any) -> Any:
        return await call.model("stuck", item.input, timeout_s=0.05)

    experiment = Experiment(name="f", dataset="demo", sample_size=1, conditions=[asks], max_retries=0)
    folder = api.run(experiment, runtime="in-process").results_dir
    lines = [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]
    (request,) = [line for line in lines if line["event"] == "http_request"]
    assert (request["model"], request["outcome"], request["status"]) == ("stuck", "timeout", None)
    assert request["url"].startswith("http://127.0.0.1:")


def test_a_profile_turns_debug_logging_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "exp.toml", "--in-process", "--profile", "dev", "--json"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["results_dir"])
    lines = [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]
    assert sum(line["event"] == "trial" for line in lines) == 8
    assert all(line["experiment_id"] == folder.name for line in lines)
    assert load_settings(here, {"LOG_HTTP_REQUESTS": "TRUE"}).logging.http_requests is True


def test_every_key_has_a_test_that_shows_its_effect() -> None:
    assert {f"{key.table}.{key.name}" for key in keys()} == SHOWN


def test_no_setting_of_the_developer_is_read(here: Path) -> None:
    assert load_settings(here, os.environ).run == RunSettings()
