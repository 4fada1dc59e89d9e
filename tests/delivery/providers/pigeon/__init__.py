"""The provider of docs/adding-a-provider.md: a dovecote that keeps letters in memory. Nothing outside this folder knows it."""

from tests.delivery.providers.pigeon.provider import LOFTS, PigeonProvider

__all__ = ["LOFTS", "PigeonProvider"]
