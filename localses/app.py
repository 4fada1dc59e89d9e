"""The ASGI program: `granian --interface asgi localses.app:app`."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from localses import inbox, logs, records
from localses.api import Answer, SesDoor
from localses.config import Config, Settings, SettingsError
from localses.courier_process import CourierProcess
from localses.desk import Desk, open_desk
from localses.sigv4 import SignedRequest
from localses.sns import SnsDoor
from localses.store import connect

Result = TypeVar("Result")


class Program:
    """The running Local SES: its desk on a thread of its own, and the doors to it."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self.desk: Desk
        self.ses: SesDoor
        self.sns: SnsDoor
        self.courier = CourierProcess(config)

    async def start(self) -> None:
        """Open the store and send the courier out."""
        self.desk = await self.at_desk(partial(open_desk, self.config, self.settings))
        self.ses = SesDoor(self.desk)
        self.sns = SnsDoor(self.desk)
        self.courier.start()

    async def stop(self) -> None:
        """Let the courier come back, then close the store."""
        await asyncio.to_thread(self.courier.stop)
        await self.at_desk(self.desk.store.close)
        self._thread.shutdown()
        self._readers.shutdown()

    async def at_desk(self, work: Callable[[], Result]) -> Result:
        """Run work on the desk's thread, where everything is written."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read(self, work: Callable[..., Result], *args: object) -> Result:
        """Run a query beside the desk, on a connection that cannot write."""

        def run() -> Result:
            db = connect(self.desk.store.path, read_only=True)
            try:
                return work(db, *args)
            finally:
                db.close()

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)


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


def to_response(answer: Answer) -> Response:
    """Turn a door's answer into HTTP."""
    return Response(answer.body, answer.status, answer.headers)


def program(request: Request) -> Program:
    """Return the program that serves this request."""
    found: Program = request.app.state.program
    return found


async def ses(request: Request) -> Response:
    """Answer a call of SES v2, after the latency that was asked for."""
    running = program(request)
    signed = signed_request(request, await request.body())
    answer = await running.at_desk(partial(running.ses.answer, signed))
    if running.settings.latency_ms:
        await asyncio.sleep(running.settings.latency_ms / 1000)
    return to_response(answer)


async def front(request: Request) -> Response:
    """Answer a call of SNS, or a link of one of its messages; otherwise show the inbox."""
    if request.method != "POST" and "Action" not in request.query_params:
        return await inbox.index(request)
    running = program(request)
    signed = signed_request(request, await request.body())
    return to_response(await running.at_desk(partial(running.sns.answer, signed)))


async def certificate(request: Request) -> Response:
    """Serve the certificate that the signatures of this installation are made with."""
    signer = program(request).desk.signer
    if request.url.path != signer.certificate_path:
        return Response("Not found", 404)
    return Response(signer.certificate_pem, media_type="application/x-pem-file")


def is_local(request: Request) -> bool:
    """Say whether the request comes from this machine."""
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def settings(request: Request) -> Response:
    """Show the settings, or change some of them."""
    running = program(request)
    if not is_local(request):
        return JSONResponse({"error": "Only from this machine."}, 403)
    if request.method == "POST":
        # A web page elsewhere could post a form here, but not JSON.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"error": "Settings are application/json."}, 415)
        try:
            values = orjson.loads(await request.body())
            if not isinstance(values, dict):
                return JSONResponse({"error": "Settings are a JSON object."}, 400)
            running.settings.change(values)
        except orjson.JSONDecodeError:
            return JSONResponse({"error": "Settings are JSON."}, 400)
        except SettingsError as error:
            return JSONResponse({"error": str(error)}, 400)
    return JSONResponse(running.settings.as_dict())


async def messages(request: Request) -> Response:
    """Page through the record of accepted emails, or start afresh."""
    running = program(request)
    if not is_local(request):
        return JSONResponse({"error": "Only from this machine."}, 403)
    if request.method == "DELETE":
        await running.at_desk(running.desk.store.forget_messages)
        return Response(status_code=204)
    try:
        after = int(request.query_params.get("after", "0"))
        limit = int(request.query_params.get("limit", "1000"))
    except ValueError:
        return JSONResponse({"error": "after and limit are numbers."}, 400)
    found = await running.read(records.messages_after, after, limit)
    return Response(orjson.dumps(found), media_type="application/json")


async def stats(request: Request) -> Response:
    """Answer with the totals of the record."""
    if not is_local(request):
        return JSONResponse({"error": "Only from this machine."}, 403)
    return JSONResponse(await program(request).read(records.stats))


async def health(request: Request) -> Response:
    """Say that the desk answers."""
    await program(request).at_desk(lambda: None)
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
        Route("/_localses/settings", settings, methods=["GET", "POST"]),
        Route("/_localses/messages", messages, methods=["GET", "DELETE"]),
        Route("/_localses/stats", stats),
        Mount("/static", StaticFiles(directory=inbox.HERE / "static")),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


app = create_app(Config.from_environment(), Settings.from_environment())
