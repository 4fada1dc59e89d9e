"""Every endpoint, walked by another organization's program."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.conftest import Program
from tests.cast import Cast
from tests.organizations.wall import SECRET, Route, belongings, list_routes

pytestmark = pytest.mark.django_db

ENDPOINTS = [route for route in list_routes() if route.pattern.startswith("api/v1/")]
OBJECTS = [route for route in ENDPOINTS if route.parameters]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Enough for each body to be read, so that only the wall refuses.
BODY = {"name": "Mine", "email": "mine@example.com", "html": "{{ content }}", "recipients": ["mine@example.com"]}


def path_of(route: Route, things: dict[str, Any]) -> str:
    """The endpoint's address for what acme has."""
    known = {
        "list_id": things["list"],
        "who": things["subscriber"],
        "suppression_id": things["suppression"],
        "template_id": things["template"],
        "campaign_id": things["campaign"],
        "mailout_id": things["mailout"],
        "n": 1,
    }
    path = route.pattern.removeprefix("api/v1/")
    for name in route.parameters:
        path = re.sub(rf"<\w+:{name}>", str(known[name]), path)
    return path


def test_another_organization_s_program_finds_and_changes_nothing(stranger: Program, cast: Cast) -> None:
    things = belongings(cast)
    found = []

    for route in OBJECTS:
        for method in METHODS:
            answer = stranger(method, path_of(route, things), None if method == "GET" else BODY)
            # A person is put by address: a number is none, so that putting one is refused, not found.
            refused = {404, 405} | ({400} if method == "PUT" else set())
            if answer.status_code not in refused or SECRET.encode() in answer.content:
                found.append((method, route.pattern, answer.status_code))

    assert found == []


def test_lists_of_another_organization_hold_nothing_of_ours(stranger: Program, cast: Cast) -> None:
    things = belongings(cast)

    for route in ENDPOINTS:
        if not route.parameters:
            answer = stranger("GET", path_of(route, things))
            assert SECRET.encode() not in answer.content, route.pattern


def test_the_wall_would_notice(api: Program, cast: Cast) -> None:
    things = belongings(cast)

    seen = [route for route in ENDPOINTS if SECRET.encode() in api("GET", path_of(route, things)).content]

    assert len(seen) >= 10
