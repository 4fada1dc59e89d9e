"""The last line of each settings module: with a mistake in the environment, the process ends here.

As `SystemExit`, so that it does wherever settings are read: a management command, a web server, a worker, a script.
Nobody catches it by accident, and nobody sees a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping

from amazonsender.core.env import Env
from amazonsender.core.startup import refusal


def refuse_mistakes(env: Env, settings: Mapping[str, object]) -> None:
    """End the process if ``env`` found any mistakes, and name them together with what is dangerous in ``settings``.

    ``settings`` are the module's globals. What a system check says of a setting that is missing or wrong anyway is left out.
    """
    if not env.findings:
        return
    from amazonsender.checks import find_errors

    raise SystemExit(refusal([*env.findings, *find_errors(settings, without=env.broken)]))
