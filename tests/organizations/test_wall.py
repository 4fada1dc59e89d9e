"""Every route and admin page, walked by those who must not come in."""

import re
from collections.abc import Mapping
from typing import Any

from django.test import Client

from organizations.admin.pages import PAGES
from organizations.models import Member
from organizations.permissions import may
from tests.cast import Cast
from tests.organizations.wall import PUBLIC, SECRET, Route, arguments_of, belongings, is_public, list_routes

ROUTES = [route for route in list_routes() if not is_public(route)]
CATCH_ALL = "admin/(?P<url>.*)$"  # answers 404, or sends to the sign-in page
WITHOUT_OBJECT = ((), ("app_label",), ("provider",))
OBJECTS = [route for route in ROUTES if route.parameters not in WITHOUT_OBJECT and route.pattern != CATCH_ALL]
PAGES_WITHOUT_OBJECT = [
    route for route in ROUTES if route.parameters in WITHOUT_OBJECT and route.name != "admin:logout"
]
ELSEWHERE = {"url": "nowhere", "app_label": "subscribers", "provider": "smtp"}


def address(route: Route, arguments: Mapping[str, object]) -> str:
    """Fill the pattern by hand: routes without a name can't be reversed."""

    def fill(match: re.Match[str]) -> str:
        return str(arguments[match[1]])

    path = re.sub(r"<(?:\w+:)?(\w+)>", fill, re.sub(r"\(\?P<(\w+)>[^)]*\)", fill, route.pattern))
    return "/" + path.replace("^", "").replace("$", "").replace("\\Z", "")


def body(response: Any) -> bytes:
    return b"".join(response) if response.streaming else response.content


def test_every_route_is_behind_the_wall_or_known_as_a_door() -> None:
    outside = [route.pattern for route in ROUTES if not route.pattern.startswith("admin/")]

    assert outside == [], "a public route: add it to PUBLIC in wall.py and test its own proof"


def test_every_route_that_names_an_object_has_one_of_acme(cast: Cast) -> None:
    things = belongings(cast)

    missing = [route.pattern for route in OBJECTS if arguments_of(route, things) is None]

    assert missing == [], "add their prefix to SUBJECTS in wall.py"


def test_an_anonymous_stranger_is_sent_to_the_sign_in_page(client: Client, cast: Cast) -> None:
    things = belongings(cast)
    inside = []

    for route in ROUTES:
        path = address(route, arguments_of(route, things) or ELSEWHERE)
        for response in (client.get(path), client.post(path)):
            target = response.get("Location", "")
            is_sent_away = response.status_code == 302 and (target == "/admin/" or target.startswith("/admin/login/"))
            if not (is_sent_away or response.status_code == 404) or SECRET.encode() in body(response):
                inside.append((route.pattern, response.status_code))

    assert inside == []


def test_an_owner_of_another_organization_finds_nothing_of_ours(mallory_client: Client, cast: Cast) -> None:
    things = belongings(cast)
    found = []

    for route in OBJECTS:
        path = address(route, arguments_of(route, things) or {})
        answers = [mallory_client.get(path, follow=True), mallory_client.post(path)]
        statuses = {answer.status_code for answer in answers}
        # Some pages are only read, others only acted on: one of the two methods may be refused, neither finds it.
        is_closed = 404 in statuses and statuses <= {404, 405}
        if not is_closed or any(SECRET.encode() in body(answer) for answer in answers):
            found.append((route.pattern, statuses))

    assert found == []


def test_pages_of_another_organization_show_nothing_of_ours(mallory_client: Client, cast: Cast) -> None:
    belongings(cast)
    shown = []

    for route in PAGES_WITHOUT_OBJECT:
        response = mallory_client.get(address(route, ELSEWHERE), {"q": SECRET[:4], "s": SECRET[:4], "term": SECRET[:4]})
        if response.status_code not in (200, 302, 400, 403, 405) or SECRET.encode() in body(response):
            shown.append((route.pattern, response.status_code))

    assert shown == []


def test_the_wall_would_notice(alice_client: Client, cast: Cast) -> None:
    things = belongings(cast)

    seen = [
        route.pattern
        for route in OBJECTS
        if (arguments := arguments_of(route, things))
        and SECRET.encode() in body(alice_client.get(address(route, arguments), follow=True))
    ]

    assert len(seen) >= 5, "hardly a page shows the secret even to its owner, so the tests above prove nothing"


def test_a_member_opens_exactly_the_pages_of_their_role(carol_client: Client, cast: Cast) -> None:
    things, carol = belongings(cast), Member.objects.get(user=cast.carol)
    routes = {route.name: route for route in ROUTES}
    wrong = []

    for page in PAGES:
        route = routes[f"admin:{page.name}"]
        status = carol_client.get(address(route, arguments_of(route, things) or ELSEWHERE)).status_code
        if status not in ((200, 302, 404, 405) if may(carol, page.permission) else (403,)):
            wrong.append((page.path, status))

    assert wrong == []


def test_the_list_of_doors_holds_nothing_that_is_gone() -> None:
    assert {name for name in PUBLIC if name not in {route.name for route in list_routes()}} == set()
