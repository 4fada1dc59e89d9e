"""What can go wrong here, in sentences for the person at the terminal."""


class EmbeddedError(Exception):
    """A service can't start; the message says what to do about it."""
