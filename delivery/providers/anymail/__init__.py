"""Sending services through django-anymail, which knows the request of each; chunks, outcomes and bodies are ours."""

from delivery.providers.anymail.provider import AnymailProvider

__all__ = ["AnymailProvider"]
