"""JUnit XML, as continuous integration reads it: a test case for each gate, hypothesis and condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reduction.gates import GateResult
from crucible_ray.reports import words


def junit_xml(
    summary: Mapping[str, Any], analysis: Analysis, gates: Sequence[GateResult], *, max_failed: float
) -> bytes:
    """One test suite. A refuted or reversed hypothesis fails, an undecided one is skipped."""
    suite = ElementTree.Element("testsuite")
    _case(
        suite, "run", "complete", None if summary["status"] == "complete" else f"status: {summary['status']}"
    )
    for gate in gates:
        _case(suite, "gates", gate.text, None if gate.passed else gate.detail, gate.detail)
    for each in analysis.hypotheses:
        told = f"{words.VERDICTS[each.verdict]}: {each.reason}"
        wrong = told if each.verdict in ("refuted", "reversed") else None
        case = _case(suite, "hypotheses", each.text, wrong, told)
        if each.verdict == "not_decided":
            ElementTree.SubElement(case, "skipped", message=_text(told))
    for name, condition in analysis.conditions.items():
        complete = condition.completeness
        ran = complete.answered + complete.failed
        told = f"{complete.failed} of {ran} trials failed, {complete.pending} are pending"
        wrong = told if complete.pending or complete.failed > max_failed * ran else None
        _case(suite, "completeness", name, wrong, told)
    suite.attrib |= {
        "name": _text(analysis.name),
        "tests": str(len(suite)),
        "failures": str(len(suite.findall("*/failure"))),
        "skipped": str(len(suite.findall("*/skipped"))),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(
    suite: ElementTree.Element, group: str, name: str, wrong: str | None, told: str = ""
) -> ElementTree.Element:
    case = ElementTree.SubElement(suite, "testcase", classname=group, name=_text(name))
    if wrong is not None:
        ElementTree.SubElement(case, "failure", message=_text(wrong))
    elif told:
        ElementTree.SubElement(case, "system-out").text = _text(told)
    return case


def _text(text: str) -> str:
    """What XML can hold: the library escapes markup, and lets control characters through that no parser takes."""
    return words.printable(text)
