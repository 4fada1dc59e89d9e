"""The second half of ``run.py``, in the virtual environment: ``python -m amazonsender.embedded VERB``."""

import os
import sys

from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.launch import OWNER, manage, run_demo, run_plain, run_tests, stop, wipe


def main(arguments: list[str]) -> int:
    """Run one verb; a failure is one sentence and code 1."""
    verb, *rest = arguments
    try:
        match verb:
            case "demo":
                return run_demo(os.environ)
            case "run":
                return run_plain(os.environ)
            case "test":
                return run_tests(rest)
            case "manage":
                return manage(rest)
            case "login":
                return manage(["sign_in_link", *(rest or [OWNER])])
            case "stop":
                return stop()
            case "wipe":
                return wipe()
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"There is no {verb}.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
