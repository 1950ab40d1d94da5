"""What Autobahn's suite says of a server is read, judged and shown as it is meant."""

from __future__ import annotations

import json

import pytest
from tests.conformance import __main__ as command
from tests.conformance import autobahn, autobahn_report
from tests.conformance.autobahn_report import Report

pytestmark = pytest.mark.repository


def index(**agents):
    """The suite's index.json: {agent: {case: (behaviour, behaviour at the close)}}."""
    return json.dumps(
        {
            agent: {
                case: {"behavior": one, "behaviorClose": closing} for case, (one, closing) in cases.items()
            }
            for agent, cases in agents.items()
        }
    )


@pytest.mark.parametrize(
    ("behaviour", "closing", "verdict"),
    [
        ("OK", "OK", "OK"),
        ("OK", "INFORMATIONAL", "OK"),
        ("NON-STRICT", "OK", "NON-STRICT"),
        ("INFORMATIONAL", "INFORMATIONAL", "INFORMATIONAL"),
        ("FAILED", "OK", "FAILED"),
        ("WRONG CODE", "OK", "FAILED"),
        ("UNCLEAN", "OK", "FAILED"),
        ("OK", "UNCLEAN", "FAILED"),
        ("NON-STRICT", "WRONG CODE", "FAILED"),
        ("OK", "FAILED BY CLIENT", "FAILED"),
        ("UNIMPLEMENTED", "OK", "UNIMPLEMENTED"),
        ("UNIMPLEMENTED", "UNCLEAN", "UNIMPLEMENTED"),
    ],
)
def test_a_case_is_what_the_worse_of_its_two_words_says(behaviour, closing, verdict):
    assert autobahn_report.verdict(behaviour, closing) == verdict


def test_cases_stand_in_the_order_of_their_numbers():
    report = Report.read(
        "greenserve", "1", index(greenserve=dict.fromkeys(["10.1.1", "9.1.10", "9.1.9"], ("OK", "OK")))
    )
    assert list(report.cases) == ["9.1.9", "9.1.10", "10.1.1"]


def test_a_report_of_two_servers_or_none_is_no_report():
    with pytest.raises(ValueError, match="2 servers: a, b"):
        Report.read("greenserve", "1", index(a={}, b={}))
    with pytest.raises(ValueError, match="0 servers"):
        Report.read("greenserve", "1", index())


@pytest.mark.parametrize(
    ("cases", "wanted", "short"),
    [
        ({"1.1.1": "OK", "1.1.2": "NON-STRICT", "1.1.3": "INFORMATIONAL"}, 3, []),
        ({"1.1.1": "OK"}, 0, []),
        ({"1.1.1": "OK", "1.1.2": "FAILED"}, 2, ["FAILED: 1.1.2"]),
        ({"12.1.1": "UNIMPLEMENTED"}, 1, ["UNIMPLEMENTED: 12.1.1"]),
        ({"1.1.1": "OK"}, 2, ["1 cases ran, not 2"]),
        ({}, 0, ["0 cases ran, not any"]),
    ],
)
def test_all_cases_have_to_run_and_to_pass(cases, wanted, short):
    assert list(Report("greenserve", "1", cases).short_of(wanted)) == short


@pytest.mark.parametrize(
    ("cases", "text"),
    [
        ([], ""),
        (["6.4.1"], "6.4.1"),
        (["6.4.1", "6.4.2"], "6.4.1, 6.4.2"),
        (["6.4.1", "6.4.2", "6.4.3", "7.1.6", "7.13.1"], "6.4.1 to 6.4.3, 7.1.6, 7.13.1"),
        (["9.1.1", "9.2.2", "9.3.3"], "9.1.1, 9.2.2, 9.3.3"),
    ],
)
def test_many_numbers_in_few_words(cases, text):
    assert autobahn_report.spans(cases) == text


def test_a_report_survives_its_file(tmp_path):
    before = Report("websockets", "17.4", {"1.1.1": "OK"})
    before.save(tmp_path)
    assert autobahn_report.saved(tmp_path) == [before]


def test_the_table_counts_and_names():
    section = autobahn_report.markdown(
        [
            Report("greenserve", "0.1", {"1.1.1": "OK", "6.4.1": "NON-STRICT", "7.1.6": "INFORMATIONAL"}),
            Report("eventlet", "0.41", {"1.1.1": "OK", "6.4.1": "FAILED", "7.1.6": "OK"}),
            Report("ideal", "1", {"1.1.1": "OK"}),
        ]
    )
    assert "3 cases" in section
    assert "| greenserve 0.1 | 1 | 1 | 1 | 0 | 0 |" in section
    assert "| eventlet 0.41 | 2 | 0 | 0 | 0 | 1 |" in section
    assert "- greenserve: NON-STRICT 6.4.1; INFORMATIONAL 7.1.6" in section
    assert "- eventlet: FAILED 6.4.1" in section
    assert "- ideal: all OK" in section


def test_the_table_goes_between_the_markers(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    monkeypatch.setattr(autobahn_report, "README", readme)
    readme.write_text("a\n<!-- autobahn:begin -->\nold\n<!-- autobahn:end -->\nb\n")
    autobahn_report.write("new")
    assert readme.read_text() == "a\n<!-- autobahn:begin -->\nnew\n<!-- autobahn:end -->\nb\n"
    readme.write_text("nothing\n")
    with pytest.raises(ValueError, match="autobahn:begin"):
        autobahn_report.write("new")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Stands in for the suite: a shell script."""

    def stand_in(script):
        path = tmp_path / "tool"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(autobahn, "TOOL", path)

    return stand_in


def test_the_suites_report_is_found_whether_or_not_cases_failed(tool, tmp_path):
    (tmp_path / "index.json").write_text("{}")
    tool(
        f"echo case 1.1.1 FAILED; echo \"behaviour x reports in {tmp_path}\"; echo '0 passed, 1 failed'; exit 1"
    )
    assert autobahn.suite("ws://127.0.0.1:1/", "*") == "{}"


def test_a_suite_that_can_not_run_says_why(tool, monkeypatch, tmp_path):
    tool("echo 'autobahn: no python2.7' >&2; exit 2")
    with pytest.raises(autobahn.Unusable, match=r"no python2\.7"):
        autobahn.suite("ws://127.0.0.1:1/", "*")
    monkeypatch.setattr(autobahn, "TOOL", tmp_path / "absent")
    with pytest.raises(autobahn.Unusable, match="absent is not there"):
        autobahn.suite("ws://127.0.0.1:1/", "*")


def test_a_suite_without_a_report_has_failed(tool):
    tool("echo 'wstest: it broke'; exit 1")
    with pytest.raises(autobahn.SuiteFailed, match="it broke"):
        autobahn.suite("ws://127.0.0.1:1/", "*")


def test_a_suite_without_end_is_ended(tool, monkeypatch):
    monkeypatch.setattr(autobahn, "SECONDS", 0.1)
    tool("exec sleep 1000")
    with pytest.raises(autobahn.SuiteFailed, match="no end"):
        autobahn.suite("ws://127.0.0.1:1/", "*")


@pytest.mark.parametrize(
    ("outcome", "arguments", "code"),
    [
        ("pass", [], 0),
        ("fail", [], 1),
        ("missing", [], 2),
        ("broken", [], 1),
        ("pass", ["--cases", "1.*"], 0),
        ("fail", ["--cases", "1.*"], 1),
        ("fail", ["--servers", "websockets"], 0),  # a peer's failure is a finding
    ],
)
def test_the_exit_code_is_ours(monkeypatch, tmp_path, outcome, arguments, code):
    def run(name, cases):
        if outcome == "missing":
            raise autobahn.Unusable("no tool")
        if outcome == "broken":
            raise autobahn.SuiteFailed("no report")
        cases = {f"1.1.{number}": "OK" for number in range(autobahn_report.ALL)}
        return Report(name, "1", cases | ({"1.1.0": "FAILED"} if outcome == "fail" else {}))

    monkeypatch.setattr(autobahn, "run", run)
    monkeypatch.setattr(autobahn.signal, "signal", lambda *_: None)
    monkeypatch.setattr(autobahn.install, "install", lambda peer: "")
    monkeypatch.setattr(autobahn.machine, "raise_descriptor_limit", lambda: 0)
    assert autobahn.main(["--results", str(tmp_path), *arguments]) == code


@pytest.mark.parametrize(
    ("arguments", "cpython", "suite", "code"),
    [
        ([], 0, 0, 0),
        ([], 1, 0, 1),
        ([], 0, 1, 1),
        ([], 0, 2, 0),  # said, and no failure of who asks for all that this machine has
        (["--only", "autobahn"], None, 0, 0),
        (["--only", "autobahn"], None, 1, 1),
        (["--only", "autobahn"], None, 2, 2),
        (["--only", "greenserve"], 0, None, 0),
        (["socket"], 0, None, 0),
    ],
)
def test_the_suite_is_a_part_of_the_whole(monkeypatch, arguments, cpython, suite, code):
    class Environment:
        python = "python"

    def instead(value):
        assert value is not None, "ran and should not have"
        return value

    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command.install, "environment_of", lambda python: "python")
    monkeypatch.setattr(command.install, "prepare", lambda *_: Environment)
    monkeypatch.setattr(command, "run", lambda *_: instead(cpython))
    monkeypatch.setattr(command, "autobahn", lambda *_: instead(suite))
    assert command.main(arguments) == code
