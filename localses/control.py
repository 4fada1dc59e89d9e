"""Control from this machine: settings, faults, and the record of what was accepted."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localses import records
from localses.config import SettingsError
from localses.faults import FaultError
from localses.program import program_of

Endpoint = Callable[[Request], Awaitable[Response]]


def from_this_machine(endpoint: Endpoint) -> Endpoint:
    """Let an endpoint serve this machine only."""

    async def guarded(request: Request) -> Response:
        if not _is_local(request):
            return _error("Only from this machine.", 403)
        return await endpoint(request)

    return guarded


def _is_local(request: Request) -> bool:
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status)


class NotJsonError(Exception):
    """The body is not JSON, or isn't said to be."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def _json_body(request: Request) -> Any:
    # A web page elsewhere could post a form here, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise NotJsonError("The body must be application/json.", 415)
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise NotJsonError("The body is not JSON.", 400) from None


@from_this_machine
async def settings(request: Request) -> Response:
    """Show the settings, or change some of them."""
    running = program_of(request)
    if request.method == "POST":
        try:
            values = await _json_body(request)
            if not isinstance(values, dict):
                return _error("Settings are a JSON object.", 400)
            running.settings.change(values)
        except NotJsonError as error:
            return _error(str(error), error.status)
        except SettingsError as error:
            return _error(str(error), 400)
    return JSONResponse(running.settings.as_dict())


@from_this_machine
async def faults(request: Request) -> Response:
    """Show, replace, add to, or clear the faults."""
    running = program_of(request)
    known = running.desk.faults
    try:
        if request.method == "PUT":
            work = partial(known.replace, await _json_body(request))
        elif request.method == "POST":
            work = partial(known.add, await _json_body(request))
        elif request.method == "DELETE":
            work = partial(known.clear, request.query_params.get("name"))
        else:
            work = partial(known.listing)
        return JSONResponse(await running.at_desk(work))
    except NotJsonError as error:
        return _error(str(error), error.status)
    except FaultError as error:
        return _error(str(error), 400)


@from_this_machine
async def messages(request: Request) -> Response:
    """Page through the record of accepted emails, or start afresh."""
    running = program_of(request)
    if request.method == "DELETE":
        await running.at_desk(running.desk.store.forget_messages)
        return Response(status_code=204)
    try:
        after = int(request.query_params.get("after", "0"))
        limit = int(request.query_params.get("limit", "1000"))
    except ValueError:
        return _error("after and limit are numbers.", 400)
    found = await running.read(records.messages_after, after, limit, request.query_params.get("to", ""))
    return Response(orjson.dumps(found), media_type="application/json")


@from_this_machine
async def stats(request: Request) -> Response:
    """Answer with the totals of the record."""
    return JSONResponse(await program_of(request).read(records.stats))
