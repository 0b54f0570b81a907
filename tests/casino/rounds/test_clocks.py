"""Processes whose clocks are wrong by ten minutes: rounds go by the clock of the books."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from tests.casino.rounds.dealt import Dealt
from tests.reliability.test_clocks import FAKED, wrong

pytestmark = pytest.mark.skipif(FAKED is None, reason="needs Debian's faketime, as CI installs it")


@pytest.mark.parametrize(("said", "seconds"), [("+10m", 600), ("-10m", -600)])
async def test_a_process_whose_clock_is_wrong_takes_closes_and_draws_nothing_out_of_time(
    database: str, database_url: str, said: str, seconds: int
) -> None:
    dealt = await Dealt.at()
    await dealt.batch(2, opens_in=-5, period=60)
    await dealt.moved(0, 60)
    await dealt.moved(1, 60)
    words = [dealt.table.name, str(await dealt.player())]
    words += [dealt.seeds[number].hex() for number in (0, 1)]
    command = [sys.executable, "-m", "tests.casino.rounds.astray", database_url, *words]
    told = {**os.environ, **wrong(FAKETIME=said)}
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, env=told, capture_output=True, text=True, timeout=60)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "ahead_s": seconds,
        "bets": ["ROUND_CLOSED", None],
        "drawn unclosed": [False, False],
        "lapsed": [False, False],
        "closed": [True, False],
        "drawn": [True, False],
    }
