"""The ASGI program: `granian --interface asgi localses.app:app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from localses import control, inbox, logs
from localses.api import Held
from localses.config import Config, Settings
from localses.counting import CountingDoor, is_counting
from localses.program import Program, program_of
from localses.sigv4 import SignedRequest
from localses.wire import ConductedResponse

COUNTING = CountingDoor()


def signed_request(request: Request, body: bytes) -> SignedRequest:
    """Take from the request what signatures cover, as it was on the wire."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return SignedRequest(
        method=request.method,
        path=raw_path.decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        headers=dict(request.headers.items()),
        body=body,
    )


async def ses(request: Request) -> Response:
    """Answer a call of SES v2, when and how the faults that it meets let it."""
    running = program_of(request)
    signed = signed_request(request, await request.body())
    answer = await running.at_desk(partial(running.ses.answer, signed))
    if isinstance(answer, Held):
        await asyncio.sleep(answer.seconds)
        answer = await running.at_desk(answer.proceed)
    return ConductedResponse(answer)


async def front(request: Request) -> Response:
    """Answer a call of SNS or of SES's first API, or a link of one of its messages; otherwise show the inbox."""
    if request.method != "POST" and "Action" not in request.query_params:
        return await inbox.index(request)
    running = program_of(request)
    signed = signed_request(request, await request.body())
    if is_counting(signed):
        return ConductedResponse(await running.at_desk(partial(COUNTING.answer, running.desk, signed)))
    return ConductedResponse(await running.at_desk(partial(running.sns.answer, signed)))


async def certificate(request: Request) -> Response:
    """Serve the certificate that the signatures of this installation are made with."""
    signer = program_of(request).desk.signer
    if request.url.path != signer.certificate_path:
        return Response("Not found", 404)
    return Response(signer.certificate_pem, media_type="application/x-pem-file")


async def health(request: Request) -> Response:
    """Say that the desk answers."""
    await program_of(request).at_desk(lambda: None)
    return JSONResponse({"status": "ok"})


def create_app(config: Config, settings_now: Settings) -> Starlette:
    """Build the program for a configuration; nothing is opened before it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        logs.configure()
        running = Program(config, settings_now)
        await running.start()
        app.state.program = running
        yield
        await running.stop()

    routes = [
        Route("/", front, methods=["GET", "POST"]),
        Route("/messages/{number:int}", inbox.message),
        Route("/messages/{number:int}/html", inbox.message_html),
        Route("/messages/{number:int}/raw", inbox.message_raw),
        Route("/SimpleNotificationService-{name}.pem", certificate),
        Route("/health", health),
        Route("/v2/email/{rest:path}", ses, methods=["GET", "POST", "PUT", "DELETE"]),
        Route("/_localses/settings", control.settings, methods=["GET", "POST"]),
        Route("/_localses/faults", control.faults, methods=["GET", "PUT", "POST", "DELETE"]),
        Route("/_localses/messages", control.messages, methods=["GET", "DELETE"]),
        Route("/_localses/stats", control.stats),
        Mount("/static", StaticFiles(directory=inbox.HERE / "static")),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


app = create_app(Config.from_environment(), Settings.from_environment())
