"""Amazon SES through its v2 API. Facts, limits and error names: https://docs.aws.amazon.com/ses/latest/APIReference-V2/."""

from delivery.providers.ses.provider import SesProvider

__all__ = ["SesProvider"]
