"""The report for other programs: JUnit XML, SARIF 2.1.0, YAML for the Hugging Face Hub, Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
import yaml

from sparring.audit.checks.run import CHECKS
from sparring.audit.report.formats.huggingface import eval_results, files, model_index
from sparring.audit.report.formats.junit import junit
from sparring.audit.report.formats.sarif import VERDICTS, log, sarif
from sparring.audit.report.formats.tables import markdown
from sparring.audit.report.report import Report
from sparring.result import Doubt

Plain = dict[str, Any]


@pytest.fixture(scope="module")
def plain(small_report: Report) -> Plain:
    doubts = (Doubt("zero-gradients", "the gradient is <zero> & flat", 0.9), Doubt("never-heard-of", "odd", 0.1))
    return replace(small_report, doubts=doubts, left_out=("FAB: not for L1",)).to_dict()


# --- JUnit --------------------------------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_requirement_and_attack(plain: Plain) -> None:
    root = xml.fromstring(junit(plain).encode())
    assert root.tag == "testsuites"
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {
        *(one["text"] for one in plain["requirements"]),
        *(one["attack"] for one in plain["attacks"]),
        "FAB",
    }
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == [one["text"] for one in plain["requirements"] if one["status"] != "met"] != []
    failure = cases[failed[0]].find("failure")
    assert failure is not None
    assert failure.get("type") == "failed"
    assert "any-time 95 % interval" in (failure.text or "")
    skipped = cases["FAB"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not for L1"


def test_junit_counts_add_up(plain: Plain) -> None:
    root = xml.fromstring(junit(plain).encode())
    for name in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(name, "-1")) == sum(int(suite.get(name, "-1")) for suite in root.iter("testsuite"))
    assert int(root.get("tests", "0")) == len(list(root.iter("testcase")))
    for suite in root.iter("testsuite"):
        assert int(suite.get("failures", "-1")) == len(suite.findall("testcase/failure"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        assert float(suite.get("time", "-1")) >= 0


def test_junit_survives_any_name(plain: Plain) -> None:
    evil = {**plain, "model": {**plain["model"], "name": 'a\x00\x1b<b>&"\ud800\uffff'}}
    root = xml.fromstring(junit(evil).encode())
    (name,) = {one.get("value") for one in root.iter("property") if one.get("name") == "model"}
    assert name == 'a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}<b>&"\N{REPLACEMENT CHARACTER}' + "\ufffd"


def test_what_is_not_settled_fails_too(small_report: Report) -> None:
    unsure = replace(small_report, requirements=()).requiring([f"clean >= {small_report.clean_accuracy}"])
    (failure,) = xml.fromstring(junit(unsure.to_dict()).encode()).iter("failure")
    assert failure.get("type") == "not-settled"


# --- SARIF --------------------------------------------------------------------------------------------------------

KNOWN = {
    "log": {"$schema", "version", "runs"},
    "run": {"tool", "taxonomies", "automationDetails", "invocations", "columnKind", "results", "properties"},
    "driver": {
        "name", "version", "semanticVersion", "shortDescription", "supportedTaxonomies", "rules",
    },
    "rule": {
        "id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties",
    },
    "result": {
        "ruleId", "ruleIndex", "kind", "level", "message", "locations", "partialFingerprints", "properties",
    },
    "location": {"logicalLocations", "physicalLocation"},
    "invocation": {"executionSuccessful", "commandLine", "endTimeUtc"},
}  # fmt: skip
"properties of the 2.1.0 schema, which allows no others; those in use"


def test_sarif_has_the_structure_of_the_schema(plain: Plain) -> None:
    found = json.loads(sarif(plain), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(found) <= KNOWN["log"]
    assert found["version"] == "2.1.0"
    assert found["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = found["runs"]
    assert set(run) <= KNOWN["run"]
    driver = run["tool"]["driver"]
    assert set(driver) <= KNOWN["driver"]
    assert driver["name"] == "sparring"
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        assert set(rule) <= KNOWN["rule"]
        assert all(rule[text]["text"] for text in ("shortDescription", "fullDescription", "help"))
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    for result in run["results"]:
        assert set(result) <= KNOWN["result"]
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["kind"] in ("pass", "open", "informational", "notApplicable", "review", "fail")
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["kind"] == "fail" or result["level"] == "none"  # the standard, 3.27.10
        assert result["message"]["text"]
        assert all(set(place) <= KNOWN["location"] for place in result["locations"])
    assert len({json.dumps(result["partialFingerprints"]) for result in run["results"]}) == len(run["results"])
    (invocation,) = run["invocations"]
    assert set(invocation) <= KNOWN["invocation"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", invocation["endTimeUtc"])
    for k, supported in enumerate(driver["supportedTaxonomies"]):
        assert run["taxonomies"][k]["name"] == supported["name"]
        assert all(set(taxon) == {"id", "name"} for taxon in run["taxonomies"][k]["taxa"])


def test_sarif_says_what_the_report_says(plain: Plain) -> None:
    (run,) = log(plain)["runs"]
    by_rule = {result["ruleId"]: result for result in run["results"]}
    assert by_rule[f"verdict/{plain['status']}"]["message"]["text"] == plain["verdict"]
    assert by_rule["doubt/zero-gradients"]["level"] == "error"  # severe
    assert by_rule["doubt/never-heard-of"]["level"] == "warning"
    rule = next(rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "doubt/zero-gradients")
    assert CHECKS["zero-gradients"].remedy in rule["help"]["text"]
    kinds = [result["kind"] for result in run["results"] if result["ruleId"] == "requirement"]
    assert kinds == ["fail", "pass"]


@pytest.mark.parametrize("status", list(VERDICTS))
def test_every_verdict_has_a_level(plain: Plain, status: str) -> None:
    (result,) = (one for one in log({**plain, "status": status})["runs"][0]["results"] if "verdict/" in one["ruleId"])
    assert (result["level"] == "none") == (status in ("claim-holds", "no-claim"))


@pytest.mark.parametrize(
    ("spec", "uri"),
    [
        ("nets/my net.py:build", "nets/my%20net.py"),
        ("/home/me/net.py:build", "file:///home/me/net.py"),
        ("mnist-cnn", None),
        ("hf:me/net", None),
    ],
)
def test_a_model_in_a_file_is_a_place_in_it(plain: Plain, spec: str, uri: str | None) -> None:
    known = {**plain, "settings": {**plain["settings"], "options": {"model": spec}}}
    place = log(known)["runs"][0]["results"][0]["locations"][0]
    assert place.get("physicalLocation", {}).get("artifactLocation", {}).get("uri") == uri
    assert place["logicalLocations"][0]["name"] == plain["model"]["name"]


# --- Hugging Face -------------------------------------------------------------------------------------------------


def test_eval_results_hold_what_the_hub_requires(plain: Plain) -> None:
    clean, robust = eval_results(plain)
    for entry in (clean, robust):
        assert set(entry) == {"dataset", "value", "date", "notes"}
        assert set(entry["dataset"]) == {"id", "task_id"}
    assert clean["value"] == plain["clean_accuracy"]
    assert robust["value"] == plain["robust_accuracy"]
    assert robust["dataset"]["task_id"] == "robust-accuracy-linf-0.05"
    assert f"{plain['standing']} of {plain['n']} images" in robust["notes"]
    assert "upper bound" in robust["notes"]
    mnist = {**plain, "data": {**plain["data"], "name": "mnist"}}
    assert eval_results(mnist)[0]["dataset"]["id"] == "ylecun/mnist"


def test_model_index_has_the_shape_of_a_model_card(plain: Plain) -> None:
    (model,) = model_index(plain)["model-index"]
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert set(result["dataset"]) == {"type", "name"}  # tensors have no split
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy", "robust_accuracy", "attack_success_rate"]
    assert all(metric["args"]["low"] <= metric["value"] <= metric["args"]["high"] for metric in result["metrics"])


def test_yaml_is_read_back_as_it_was(plain: Plain) -> None:
    odd = {**plain, "model": {**plain["model"], "name": 'it\'s "odd": {yes}\n\x1f é'}}
    made = files(odd)
    assert yaml.safe_load(made["model-index.yaml"]) == model_index(odd)
    assert yaml.safe_load(made[".eval_results/sparring.yaml"]) == eval_results(odd)


# --- Markdown -----------------------------------------------------------------------------------------------------


def tables(text: str) -> Iterator[list[str]]:
    """The tables of a Markdown text, each as its lines."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("|"):
            yield lines


def test_markdown_tables_are_whole_whatever_the_names(plain: Plain) -> None:
    evil = {**plain, "attacks": [{**one, "attack": "a|b\nc"} for one in plain["attacks"]]}
    text = markdown(evil)
    found = list(tables(text))
    assert len(found) == 4  # requirements, figures, claims, attacks
    for lines in found:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "❌ failed" in text
    assert "✅ met" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_all_forms_are_saved(small_report: Report, tmp_path: Path) -> None:
    saved = small_report.save(tmp_path)
    assert set(saved) == {
        "report.json", "report.html", "report.md", "report.junit.xml", "report.sarif", "samples.csv",
        "huggingface/.eval_results/sparring.yaml", "huggingface/model-index.yaml",
    }  # fmt: skip
    assert all(path.stat().st_size > 0 for path in saved.values())
    single = small_report.to_junit(tmp_path / "x" / "audit.xml")
    assert single.read_text(encoding="utf-8") == saved["report.junit.xml"].read_text(encoding="utf-8")
    assert small_report.to_sarif(tmp_path / "a.sarif").read_bytes() == saved["report.sarif"].read_bytes()
    assert len(small_report.to_huggingface(tmp_path / "hub")) == 2
