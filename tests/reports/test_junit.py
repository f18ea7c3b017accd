"""JUnit XML is read by parsers: hostile text has to come through them."""

from __future__ import annotations

from xml.etree import ElementTree

from crucible_ray.reduction import reduce
from crucible_ray.reduction.gates import GateResult
from crucible_ray.reports.junit import junit_xml
from tests.reduction.rows import batches, hypothesis, plan, row

EVIL = 'a"]]><script>&\x00\x1b\ud800'


def test_gates_verdicts_and_completeness_are_test_cases() -> None:
    rows = [row(trial, int(trial % 2 == 0)) for trial in range(200)]
    design = plan(
        100,
        name=EVIL,
        hypotheses=(hypothesis("single wins", a="single", b="ensemble"), hypothesis("ensemble wins")),
    )
    analysis = reduce(design, batches(rows[:-1]))
    gates = [
        GateResult(text=EVIL, passed=False, value=0.5, detail=EVIL),
        GateResult(text="good", passed=True, value=0.5, detail="it is 0.5"),
    ]
    suite = ElementTree.fromstring(junit_xml({"status": "interrupted"}, analysis, gates, max_failed=0.05))[0]
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    failed = {key for key, case in cases.items() if case.find("failure") is not None}
    assert ("run", "complete") in failed
    assert ("gates", "good") not in failed
    assert ("hypotheses", "single wins") not in failed
    assert ("hypotheses", "ensemble wins") in failed
    assert ("completeness", "ensemble") in failed, "one trial is pending"
    assert ("completeness", "single") not in failed
    assert int(suite.get("failures") or 0) == len(failed) == 4
    assert any("<script>" in (name or "") for _, name in cases)
