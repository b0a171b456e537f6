"""What atms.yaml may say of limits, output and secrets."""

from __future__ import annotations

import pytest

from atms_cli.domain.config import default
from atms_cli.store.settings import parse


def test_sizes_durations_and_patterns_are_read() -> None:
    text = """
execution:
  limits: {memory: 4G, cpu: 30m, files: 1024, processes: 500, file_size: 1048576, cores: 1.5}
  cgroup: off
  log_max: 2M
  logs_keep: 7d
  logs_total: null
redact: ["CUST-[0-9]{8}"]
"""
    config = parse(text.replace("cgroup: off", 'cgroup: "off"'), "atms.yaml")
    execution = config["execution"]
    assert execution["limits"] == {
        "memory": 4 << 30, "cpu": 1800.0, "files": 1024, "processes": 500, "file_size": 1 << 20, "cores": 1.5,
    }  # fmt: skip
    assert (execution["cgroup"], execution["log_max"], execution["logs_keep"]) == ("off", 2 << 20, 7 * 86_400.0)
    assert execution["logs_total"] is None
    assert config["redact"] == ["CUST-[0-9]{8}"]
    assert all(type(each) in (int, float, str, dict, bool, type(None)) for each in execution.values())


def test_nothing_said_is_the_default() -> None:
    config = parse("execution: {jobs: 2}", "atms.yaml")
    assert (config["execution"], config["redact"]) == (default()["execution"], [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("execution: {limits: {memory: much}}", "`much` is not a size"),
        ("execution: {limits: {memory: 0}}", "`0` is not a size"),
        ("execution: {limits: {ram: 1G}}", "ram"),
        ("execution: {limits: {files: 3}}", "files"),
        ("execution: {log_max: 100K}", "less than 1M"),
        ("execution: {cgroup: always}", "choose one of: auto, off"),
        ("redact: ['(']", "is not a pattern"),
        ("redact: ['a*']", "matches where nothing is"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(text: str, words: str) -> None:
    from atms_cli.errors import AtmsError

    with pytest.raises(AtmsError) as refused:
        parse(text, "atms.yaml")
    assert words in refused.value.message
    assert text.partition(":")[0] in refused.value.message
