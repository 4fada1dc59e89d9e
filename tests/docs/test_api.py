"""The examples of docs/api.md, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from organizations.permissions import API_SCOPES
from organizations.services.api_keys import issue_api_key
from tests.campaigns.world import make_account
from tests.cast import Cast

PAGE = Path(__file__).parents[2] / "docs/api.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.django_db(transaction=True)
def test_every_example_does_what_it_says(live_server: LiveServer, cast: Cast) -> None:
    make_account(cast.acme)
    _key, secret = issue_api_key(organization=cast.acme, name="Docs", scopes=API_SCOPES, days=None, actor=None)
    assert len(EXAMPLES) >= 5

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(EXAMPLES)],
        env=os.environ | {"API": f"{live_server.url}/api/v1", "KEY": secret, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert '"is_ready":true' in done.stdout
    assert '"is_dry_run":true' in done.stdout
    assert '"status":"unsubscribed"' in done.stdout
