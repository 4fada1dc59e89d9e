"""The processes of an installation and how to tell that they answer."""

import sys
import urllib.error
import urllib.request

from amazonsender.stack.child import Program

PROBE_SECONDS = 1.0
HEADER_SECONDS = 10  # for a request's headers, so that slow ones keep no connection
BLOCKING_THREADS = 40  # of which WEB_THREADS of the settings work, and the others wait for bodies that come slowly


def list_programs(*, host: str, port: int, send_processes: int, localses: bool, queues: bool = False) -> list[Program]:
    """List what runs: web, two workers, the scheduler and, where one is configured, the queues' poller and Local SES.

    The send queue has a worker of its own, so that imports and events never wait behind a mailing or the other way
    round. Workers end before web and Local SES, which take their last calls and events.
    """
    celery = [sys.executable, "-m", "celery", "--quiet", "--app", "amazonsender"]
    worker = [*celery, "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    web = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port),
        "--workers", "1", "--blocking-threads", str(BLOCKING_THREADS), "--no-ws",
        "--http1-header-read-timeout", str(HEADER_SECONDS * 1000), "amazonsender.wsgi:application",
    ]  # fmt: skip
    scheduler = [*celery, "beat", "--loglevel", "INFO"]
    programs = [
        Program("web", web, ends_in=2),
        Program("send", [*worker, "-Q", "send", "-c", str(send_processes), "-n", "send@%h"]),
        Program("work", [*worker, "-Q", "events,imports,default", "-c", "1", "-n", "work@%h"]),
        Program("scheduler", scheduler),
    ]
    if queues:
        programs.append(Program("queues", [sys.executable, "manage.py", "poll_events"]))
    if localses:
        programs.append(Program("localses", [sys.executable, "-m", "localses"], ends_in=2))
    return programs


def answers(url: str) -> bool:
    """Tell whether a server answers at ``url``; an answer of any kind but its own failure counts."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True
