"""Mailouts and messages for programs: what was sent to whom, and what became of it."""
