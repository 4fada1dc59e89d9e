"""botocore clients for operations that happen rarely: set-up, suppression list, topics.

They cost tens of milliseconds and megabytes, so they are made when first used, and never on the way of mail. Their
retries are off like everywhere: a second attempt is somebody's decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.session import Session

from delivery.providers.ses import account

if TYPE_CHECKING:
    from delivery.providers.ses.credentials import CredentialSource

NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)


class _GivenCredentials(CredentialProvider):
    METHOD = "given"

    def __init__(self, source: CredentialSource) -> None:
        super().__init__()
        self._source = source

    def load(self) -> Any:
        return self._source.resolve()


def create_client(service: str, *, region: str, endpoint_url: str | None, credentials: CredentialSource) -> Any:
    """Make a botocore client that sends each request once. Raises ProviderError."""
    session = Session()
    session.register_component("credential_provider", CredentialResolver(providers=[_GivenCredentials(credentials)]))
    config = Config(
        connect_timeout=5,
        read_timeout=15,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=2,
    )
    with translated_errors():
        return session.create_client(service, region_name=region, endpoint_url=endpoint_url, config=config)


@contextmanager
def translated_errors(service: str = "ses") -> Iterator[None]:
    """Turn botocore's exceptions into the three errors of every provider. service: IAM's prefix of what is asked."""
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        action = f"{service}:{error.operation_name}"
        raise account.error_for(status, details.get("Code", ""), details.get("Message", ""), action) from error
    except NEVER_LEFT as error:
        raise account.not_handed_over(str(error)) from error
    except HTTPClientError as error:
        raise account.answer_lost(str(error)) from error
    except BotoCoreError as error:
        raise account.refused_here(str(error)) from error
