"""Finding an experiment, and changing it from outside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis
from crucible_ray.experiment.loading import load_experiment, override
from crucible_ray.experiment.spec import Analysis, Budget, Dataset, Ensemble, Experiment, Model

FILE = """\
from __future__ import annotations

from crucible_ray.experiment.spec import Experiment, Model

experiment = Experiment(name="plain", conditions=[Model("gpt4o", name="v1.0")])
second = Experiment(name="second")
number = 3


def made(temperature: float = 0.0, tries=2, *, fast: bool = False, label: str) -> Experiment:
    return Experiment(name=label, repeat=tries, randomize=fast, temperature=temperature)
"""


@pytest.fixture(autouse=True)
def _untouched_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("crucible_experiment_", "study")):
            del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exp.py"
    path.write_text(FILE)
    return path


def _refusal(ref: str, params: dict[str, str] | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        load_experiment(ref, params)
    return str(caught.value)


def test_a_file_brings_what_is_called_experiment(file: Path) -> None:
    loaded = load_experiment(str(file))
    assert (loaded.experiment.name, loaded.path, loaded.name) == ("plain", file, "experiment")


def test_a_name_after_the_file_picks_another(file: Path) -> None:
    assert load_experiment(f"{file}:second").experiment.name == "second"


def test_the_only_experiment_of_a_file_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text("from crucible_ray.experiment.spec import Experiment\nmine = Experiment(name='mine')\n")
    assert load_experiment(str(path)).name == "mine"
    path.write_text(path.read_text() + "other = Experiment(name='other')\n")
    assert "name one" in _refusal(str(path))
    path.write_text("x = 1\n")
    assert "holds no experiment" in _refusal(str(path))


def test_a_module_of_the_current_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "study"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "exp.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    loaded = load_experiment("study.exp:second")
    assert (loaded.experiment.name, loaded.path) == ("second", package / "exp.py")
    assert "there is no module 'study.gone'" in _refusal("study.gone:x")
    assert "there is no module 'gone.gone'" in _refusal("gone.gone:x")


def test_a_function_gets_its_arguments_by_their_types_and_the_rest_sets_fields(file: Path) -> None:
    params = {"temperature": "0.5", "tries": "4", "fast": "true", "label": "L", "max_tokens": "9"}
    made = load_experiment(f"{file}:made", params).experiment
    assert (made.name, made.repeat, made.randomize, made.temperature, made.max_tokens) == (
        "L",
        4,
        True,
        0.5,
        9,
    )


def test_arguments_that_do_not_fit_are_refused_together(file: Path) -> None:
    text = _refusal(f"{file}:made", {"temperature": "warm", "tries": "1,2"})
    assert "-P temperature=warm: expected float, got str." in text
    assert "sweeps) are not supported by this version" in text
    assert "needs label" in text


def test_dotted_fields_reach_into_parts_and_conditions(file: Path) -> None:
    params = {
        "repeat": "3",
        "budget.max_total": "1.5",
        "analysis.correction": "fdr",
        "conditions.v1.0.temperature": "0.5",
        "dataset": "other.jsonl",
    }
    changed = load_experiment(str(file), params).experiment
    assert (changed.repeat, changed.budget, changed.dataset) == (3, Budget(max_total=1.5), "other.jsonl")
    assert changed.analysis == Analysis(correction="fdr")
    assert changed.conditions == (Model("gpt4o", name="v1.0", temperature=0.5),)


def test_dotted_fields_that_lead_nowhere_are_refused_together(file: Path) -> None:
    text = _refusal(
        str(file),
        {
            "repeet": "1",
            "budget.max": "1",
            "conditions.v2.temperature": "1",
            "name.first": "x",
            "metrics": "accuracy",
            "repeat": "0",
            "conditions.v1.0.modl": "x",
        },
    )
    for part in (
        "there is no field 'repeet': did you mean 'repeat'?",
        "there is no field 'max'",
        "no condition is called 'v2'",
        "name has no fields of its own",
        "metrics cannot be set as a whole",
        "-P repeat=0: expected int >= 1.",
        "there is no field 'modl': did you mean 'model'?",
    ):
        assert part in text


def test_a_file_is_suggested_by_its_path_whatever_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "NoFile.py").touch()
    monkeypatch.chdir(tmp_path)
    assert _refusal("bad/NoFil.py") == "bad/NoFil.py does not exist. Did you mean 'bad/NoFile.py'?"
    assert _refusal("bad/zz.py") == "bad/zz.py does not exist. Known: bad/NoFile.py."


def test_what_is_not_there_is_named_with_what_is(file: Path) -> None:
    assert f"Did you mean '{file}'?" in _refusal(str(file.with_name("exps.py")))
    assert "there is no 'secnd': did you mean 'second'?" in _refusal(f"{file}:secnd")
    assert "number is no experiment but int" in _refusal(f"{file}:number")
    assert "write file.py" in _refusal("no-module")


def test_an_error_in_the_authors_file_shows_their_frames_only(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import json\n\n\ndef inner() -> None:\n    json.loads('{')\n\n\ninner()\n")
    text = _refusal(str(path))
    assert f'File "{path}", line 8' in text
    assert f'File "{path}", line 5' in text
    assert "JSONDecodeError" in text
    assert "importlib" not in text
    assert "json/decoder" not in text
    assert "loading.py" not in text


def test_a_syntax_error_is_one_line_and_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("x = 1\ny = (\n")
    assert _refusal(str(path)).startswith(f"{path}, line 2: ")


def test_a_refused_option_in_a_file_says_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("from crucible_ray.experiment.spec import Model\n\nm = Model('x', temprature=1)\n")
    assert _refusal(str(path)).startswith(f"{path}, line 3: Model: there is no option 'temprature'")


def test_a_function_that_returns_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("def experiment():\n    return 3\n")
    assert "returned int, no Experiment" in _refusal(str(path))


def test_two_folders_each_have_neighbours_of_the_same_name(tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "study_words.py").write_text(f"NAME = {name!r}\n")
        (folder / "exp.py").write_text(
            "from crucible_ray import Experiment\nfrom study_words import NAME\nexperiment = Experiment(name=NAME)\n"
        )
    asked = ["first", "second", "first"]
    assert [load_experiment(str(tmp_path / name / "exp.py")).experiment.name for name in asked] == asked


def test_a_file_imports_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "study_parts.py").write_text("NAME = 'from next door'\n")
    path = tmp_path / "exp.py"
    path.write_text(
        "from crucible_ray.experiment.spec import Experiment\nfrom study_parts import NAME\n"
        "experiment = Experiment(name=NAME)\n"
    )
    assert load_experiment(str(path)).experiment.name == "from next door"


TOML = """\
name = "Ensemble vs single model"
dataset = { source = "mmlu", path = "data", sample_size = 5 }
metrics = ["accuracy", "latency_p95", "cost_per_query"]
hypotheses = ["accuracy: trio > single + 0.05", { metric = "accuracy", a = "trio", b = "single" }]
repeat = 3
seed = 42

[[conditions]]
type = "model"
name = "single"
model = "openai/gpt-4o-mini"
temperature = 0.0
extra = { top_p = 0.5 }

[[conditions]]
type = "ensemble"
name = "trio"
vote = "majority"
max_tokens = 100
members = ["gpt4o", { model = "gpt4o_mini", temperature = 1.0 }]

[budget]
max_total = 1.0
abort_on_exceed = true
"""


def test_toml_says_field_for_field_what_python_says(tmp_path: Path) -> None:
    path = tmp_path / "exp.toml"
    path.write_text(TOML)
    loaded = load_experiment(str(path), {"repeat": "2"})
    assert (loaded.path, loaded.name) == (path, None)
    assert loaded.experiment == Experiment(
        name="Ensemble vs single model",
        dataset=Dataset("mmlu", path="data", sample_size=5),
        metrics=["accuracy", "latency_p95", "cost_per_query"],
        hypotheses=["accuracy: trio > single + 0.05", Hypothesis("accuracy", "trio", "single")],
        repeat=2,
        seed=42,
        conditions=[
            Model("openai/gpt-4o-mini", name="single", temperature=0.0, extra={"top_p": 0.5}),
            Ensemble(
                ["gpt4o", Model("gpt4o_mini", temperature=1.0)], name="trio", vote="majority", max_tokens=100
            ),
        ],
        budget=Budget(max_total=1.0, abort_on_exceed=True),
    )


def test_a_toml_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "exp.toml"
    path.write_text(
        'name = "x"\ndataset = "demo"\n[[conditions]]\ntype = "model"\nmodel = "gpt4o"\n', "utf-8-sig"
    )
    assert load_experiment(str(path)).experiment.name == "x"


def test_every_fault_of_a_toml_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "exp.toml"
    path.write_text(
        """
        repeet = 3
        repeat = 0
        few_shot = 3
        analysis = 3
        hypotheses = [{ metric = "accuracy", a = "x", c = 1 }]
        [budget]
        max_totl = 1
        warn_threshold = 2
        [[conditions]]
        type = "model"
        temprature = 0
        [[conditions]]
        type = "hedge"
        [[conditions]]
        type = "modle"
        [[conditions]]
        type = "ensemble"
        members = ["a", { modl = "x" }]
        """
    )
    text = _refusal(str(path))
    for part in (
        "Experiment: name is missing.",
        "there is no option 'repeet': did you mean 'repeat'?",
        "repeat = 0: expected int >= 1.",
        "few_shot must be a table.",
        "analysis must be a table.",
        "hypotheses[0]: Hypothesis: there is no option 'c'",
        "budget: Budget: there is no option 'max_totl': did you mean 'max_total'?",
        "budget.warn_threshold = 2",
        "conditions[0]: Model: there is no option 'temprature'",
        "conditions[0]: Model: model is missing.",
        "conditions[1]: type = 'hedge' is not supported by this version.",
        "conditions[2]: type = 'modle' does not exist: did you mean 'model'?",
        "conditions[3]: members[1]: Model: there is no option 'modl'",
    ):
        assert part in text
    assert all(line.startswith(str(path)) for line in text.splitlines())


@pytest.mark.parametrize("kind", ["modle", "hedge"])
def test_a_condition_of_a_wrong_type_is_not_said_to_be_missing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "exp.toml"
    path.write_text(
        f"""
        name = "x"
        dataset = "demo"
        hypotheses = ["accuracy: one > two"]
        conditions = [{{ type = "{kind}", name = "one", model = "gpt4o" }}, {{ name = "two", model = "gpt4o" }}]
        """
    )
    (line,) = _refusal(str(path)).splitlines()
    assert f"conditions[0]: type = '{kind}'" in line


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exp.toml"
    path.write_text("name = ")
    assert "cannot be read" in _refusal(str(path))
    assert "one experiment" in _refusal(f"{path}:name")


def test_flags_change_an_experiment_and_a_cost_becomes_a_hard_budget() -> None:
    before = Experiment(name="x", budget=Budget(max_per_condition=0.5), repeat=2)
    after = override(before, sample_size=3, seed=0, max_cost=2.0)
    assert (after.sample_size, after.seed, after.repeat) == (3, 0, 2)
    assert after.budget == Budget(max_total=2.0, max_per_condition=0.5, abort_on_exceed=True)
    assert override(before) == before
