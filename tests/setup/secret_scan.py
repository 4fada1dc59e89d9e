"""Looks for secrets in tracked files: ``python -m tests.setup.secret_scan``."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LARGEST_BYTES: Final = 2_000_000

PATTERNS: Final = {
    # Amazon's own documentation uses ids that end in EXAMPLE.
    "AWS access key id": re.compile(r"\b(?:AKIA|ASIA)(?!\w*EXAMPLE)[0-9A-Z]{16}\b"),
    "AWS secret key": re.compile(r"(?i)aws_?secret_?(?:access_?)?key\W{1,4}[0-9a-z/+]{40}(?![0-9a-z/+])"),
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{60,})"),
    "Notion token": re.compile(r"\b(?:ntn_|secret_)[0-9A-Za-z]{40,}"),
    "Slack token": re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{20,}"),
    "Sentry address": re.compile(r"https://[0-9a-f]{32}@\w+\.ingest\.\w*\.?sentry\.io"),
}


def find_secrets(text: str) -> list[tuple[int, str]]:
    """Return line number and kind of everything in ``text`` that looks like a secret."""
    return [
        (text.count("\n", 0, match.start()) + 1, kind)
        for kind, pattern in PATTERNS.items()
        for match in pattern.finditer(text)
    ]


def tracked_files() -> Iterable[Path]:
    """List the files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def main() -> int:
    """Report every finding without showing it; end with 1 if there is one."""
    found = 0
    for path in tracked_files():
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            continue
        for line, kind in find_secrets(path.read_text(encoding="utf-8", errors="replace")):
            sys.stderr.write(f"{path.relative_to(ROOT)}:{line}: looks like a {kind}\n")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
