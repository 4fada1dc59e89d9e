"""The engine: claim, arm, send, settle. See docs/engine.md for its rules and the holes that they close."""
