"""Identities: addresses and domains that may send, their DKIM tokens and their MAIL FROM domains."""

from __future__ import annotations

import base64
import hashlib

from localses import limits
from localses.desk import Call
from localses.errors import already_exists, bad_request, not_found
from localses.model import Json
from localses.resources import page

DKIM_ZONE = "dkim.amazonses.com"
_TOKENS = 3


def create_email_identity(call: Call) -> Json:
    """Create an identity. It is verified at once: on this machine there is no DNS to ask."""
    name = call.params["EmailIdentity"].strip()
    if call.desk.store.resource("identity", name.lower()) is not None:
        raise already_exists(f"Email identity {name} already exist.")
    if limits.address_problem(name if "@" in name else f"any@{name}") is not None:
        raise bad_request(f"Invalid email address or domain: {name}")
    body = {"EmailIdentity": name, "ConfigurationSetName": call.params.get("ConfigurationSetName")}
    call.desk.store.put_resource("identity", name.lower(), body, call.desk.clock())
    return {"IdentityType": _identity_type(name), "VerifiedForSendingStatus": True, "DkimAttributes": _dkim(name)}


def get_email_identity(call: Call) -> Json:
    """Return an identity, which is verified as long as no fault says otherwise."""
    name = call.params["EmailIdentity"]
    body = call.desk.store.resource("identity", name.lower())
    if body is None:
        raise not_found(f"Email identity {name} does not exist.")
    status = _verification(call, name)
    answer: Json = {
        "IdentityType": _identity_type(name),
        "FeedbackForwardingStatus": False,
        "VerifiedForSendingStatus": status == "SUCCESS",
        "DkimAttributes": _dkim(name, status),
        "Policies": {},
        "Tags": [],
        "VerificationStatus": status,
    }
    if body.get("ConfigurationSetName"):
        answer["ConfigurationSetName"] = body["ConfigurationSetName"]
    if body.get("MailFrom"):
        answer["MailFromAttributes"] = body["MailFrom"]
    return answer


def put_email_identity_mail_from_attributes(call: Call) -> Json:
    """Set an identity's MAIL FROM domain, which is accepted at once, or take it away."""
    name = call.params["EmailIdentity"].lower()
    body = call.desk.store.resource("identity", name)
    if body is None:
        raise not_found(f"Email identity {call.params['EmailIdentity']} does not exist.")
    domain = (call.params.get("MailFromDomain") or "").lower()
    of = name.rpartition("@")[2]
    if domain and not domain.endswith(f".{of}"):
        raise bad_request(
            f"Provided MAIL-FROM domain <{domain}> is not subdomain of the domain of the identity <{of}>."
        )
    if domain and limits.address_problem(f"any@{domain}") is not None:
        raise bad_request(f"Invalid MAIL-FROM domain: {domain}")
    behavior = call.params.get("BehaviorOnMxFailure") or "USE_DEFAULT_VALUE"
    body["MailFrom"] = (
        {"MailFromDomain": domain, "MailFromDomainStatus": "SUCCESS", "BehaviorOnMxFailure": behavior}
        if domain
        else None
    )
    call.desk.store.put_resource("identity", name, body, call.desk.clock())
    return {}


def list_email_identities(call: Call) -> Json:
    """List identities by name."""
    items = [
        {
            "IdentityType": _identity_type(name),
            "IdentityName": body["EmailIdentity"],
            "SendingEnabled": _verification(call, name) == "SUCCESS",
            "VerificationStatus": _verification(call, name),
        }
        for name, body, _ in call.desk.store.resources("identity")
    ]
    return page(call, items, "EmailIdentities")


def delete_email_identity(call: Call) -> Json:
    """Delete an identity; its addresses can no longer send."""
    if not call.desk.store.delete_resource("identity", call.params["EmailIdentity"].lower()):
        raise not_found(f"Email identity {call.params['EmailIdentity']} does not exist.")
    return {}


def _identity_type(name: str) -> str:
    return "EMAIL_ADDRESS" if "@" in name else "DOMAIN"


def _verification(call: Call, name: str) -> str:
    return "FAILED" if call.desk.faults.is_unverified(name) else "SUCCESS"


def _dkim(name: str, status: str = "SUCCESS") -> Json:
    found: Json = {"SigningEnabled": True, "Status": status, "SigningAttributesOrigin": "AWS_SES", "Tokens": []}
    if "@" not in name:  # the tokens of a domain stay the same when it is deleted and made anew
        found["Tokens"] = [_token(name, number) for number in range(_TOKENS)]
        found["SigningHostedZone"] = DKIM_ZONE
    return found


def _token(name: str, number: int) -> str:
    digest = hashlib.blake2b(f"{name.lower()}/{number}".encode(), digest_size=20).digest()
    return base64.b32encode(digest).decode().lower()
