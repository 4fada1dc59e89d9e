"""Rounds of a harness that kills things, played in a process of its own as `make` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from amazonsender.embedded.home import PROJECT

NOT_PASSED_ON = ("TEST_", "COV_", "COVERAGE_")


def play(module: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """Run it to its end, which has to be a good one. Returns its last line's account, and what it said."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    played = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=own | {"ROUNDS": "", "SEED": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{played.stdout[-8000:]}\n{played.stderr[-3000:]}"
    assert played.returncode == 0, said
    account: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    return account, said
