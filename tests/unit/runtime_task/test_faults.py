"""Failpoints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from connect import faults


def test_not_armed_nothing_happens() -> None:
    reach = faults.armed("")
    for name in faults.NAMES:
        reach(name)


def test_an_error_is_raised_at_the_nth_arrival_only() -> None:
    reach = faults.armed("after_append:error:3, before_append:error")
    reach("after_append")
    reach("after_append")
    reach("after_decode")
    with pytest.raises(faults.InjectedFault, match="after_append"):
        reach("after_append")
    reach("after_append")
    with pytest.raises(faults.InjectedFault):
        reach("before_append")


def test_a_kill_is_sigkill() -> None:
    code = "from connect.faults import reach; reach('after_put'); print('alive')"
    env = {**os.environ, "TAILRACE_FAIL": "after_put:kill"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.parametrize("setting", ["after_apend:kill", "after_append", "after_append:stop", "x"])
def test_a_name_or_action_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="TAILRACE_FAIL"):
        faults.armed(setting)
