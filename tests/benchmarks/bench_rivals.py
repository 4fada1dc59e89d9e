"""The product beside other ways to send: the same newsletter, people, database and provider stub, in one run.

    make bench-rivals
    make bench-rivals N=200000

Each is also killed with SIGKILL in the middle and started again as its documentation says; the stub's record tells who
got the email twice and who not at all. Numbers of people differ, since most of the others are slow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import newsletter
from tests.benchmarks.harness import PROJECT, last_line, say
from tests.benchmarks.installation import Installation, installation
from tests.benchmarks.rivals.smtp_sink import SmtpSink

PEOPLE = 100_000
IN_FLIGHT = 8
SETTINGS = "tests.benchmarks.rivals.settings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=int(os.environ.get("N") or PEOPLE), help="people for ours")
    options = parser.parse_args()
    with (
        installation("amazonsender_bench_rivals", ENGINE_SLOTS="2") as product,
        SmtpSink() as sink,
        tempfile.TemporaryDirectory() as folder,
    ):
        rival_env = product.env | {"DJANGO_SETTINGS_MODULE": SETTINGS, "SMTP_SINK_PORT": str(sink.port)}
        migrate = [sys.executable, "manage.py", "migrate", "post_office", "--verbosity", "0", "--skip-checks"]
        subprocess.run(migrate, cwd=PROJECT, env=rival_env, check=True)
        run_all(options.n, product, rival_env, sink, Path(folder))


def run_all(count: int, product: Installation, rival_env: dict[str, str], sink: SmtpSink, folder: Path) -> None:
    from delivery.services.compiling import compile_and_store
    from subscribers.models import Subscriber, SubscriberStatus
    from tests.benchmarks.audience import make_account, make_organization, make_people
    from tests.benchmarks.rivals.contender import Rival
    from tests.benchmarks.rivals.figures import killed_table, speed_table
    from tests.benchmarks.rivals.letters import store_template
    from tests.benchmarks.rivals.ours import Ours

    stub = product.stub
    organization = make_organization()
    ours = Ours(
        organization,
        make_account(organization, calls_in_flight=IN_FLIGHT),
        make_people(organization, count),
        compile_and_store(organization=organization, source=newsletter.newsletter()),
        product,
        folder / "celery.log",
    )
    store_template(stub)
    active = Subscriber.objects.filter(status=SubscriberStatus.ACTIVE).count()
    rivals = [
        Rival("anymail", "django-anymail, bulk", "anymail", min(active, 20_000), stub),
        Rival("boto3", "boto3, a loop of `send_email`", "boto3", min(active, 3_000), stub),
        Rival("smtp", "Django's SMTP backend", "smtp", min(active, 2_000), sink),
        Rival(
            "post_office", "django-post-office and django-ses, batches of 1,000", "post_office", min(active, 1_500), stub,
            "its command: the queue", {"POST_OFFICE_BATCH_SIZE": "1000"},
        ),
        Rival(
            "post_office_defaults", "the same with its default, batches of 100", "post_office", min(active, 500), stub,
            "its command: the queue",
        ),
    ]  # fmt: skip
    log = folder / "rivals.log"
    speed = ours.measure()
    speeds = {}
    for rival in rivals:
        say(f"{rival.title}: {rival.count:,} people")
        speeds[rival.key] = rival.measure(rival_env, product.server, log)
    say("\n" + speed_table(speed, list(speeds.values())) + "\n")
    say("now each is killed in the middle")
    killed = [rival.kill(rival_env, log) for rival in rivals]
    say("\n" + killed_table([ours.kill(active), *killed]) + "\n")
    figures = {"ours": speed, **speeds}
    fastest = max(speeds["post_office"].emails_per_second, speeds["post_office_defaults"].emails_per_second)
    ratios = {f"ratio_to_{key}": round(speeds[key].cpu_us / speed.cpu_us, 2) for key in ("anymail", "boto3", "smtp")}
    ratios["ratio_to_post_office"] = round(speed.emails_per_second / fastest, 1)
    raw = {
        f"{key}_{name}": value
        for key, one in figures.items()
        for name, value in (
            ("cpu_us_per_email", round(one.cpu_us, 1)),
            ("emails_per_second", round(one.emails_per_second)),
        )
    }
    last_line({**ratios, **raw})


if __name__ == "__main__":
    main()
