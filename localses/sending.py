"""SendEmail and SendBulkEmail."""

from __future__ import annotations

import orjson

from localses import handlebars, limits, mime
from localses.acceptance import Outgoing, accept
from localses.desk import Call, Desk
from localses.errors import ServiceError, bad_request, not_found
from localses.model import Json

_PAUSED = "Sending is paused for this account."


def send_bulk_email(call: Call) -> Json:
    """Accept up to 50 emails of one template; every entry is answered for itself.

    Refused as a whole: what the account may not do, and what no entry could do differently. Template data of an
    entry replaces the default data, it isn't merged with it; AWS doesn't say, so nobody may rely on either.
    """
    desk, params = call.desk, call.params
    entries: list[Json] = params.get("BulkEmailEntries") or []
    template: Json | None = (params.get("DefaultContent") or {}).get("Template")
    if template is None:
        raise bad_request("DefaultContent.Template is required.")
    if not 1 <= len(entries) <= limits.MAX_ENTRIES:
        raise bad_request(f"A bulk call takes 1 to {limits.MAX_ENTRIES} destinations, not {len(entries)}.")
    sender = _check_bulk(params, template, entries)
    if "TemplateContent" in template and call.body_size > limits.MAX_INLINE_REQUEST:
        raise bad_request("A request with an inline template may have 1 MB.")
    _check_account(desk)
    refusal = _refusal_of_all(desk, params, template, sender)
    if refusal is not None:
        return {"BulkEmailEntryResults": [{"Status": refusal[0], "Error": refusal[1]} for _ in entries]}
    content = _content(desk, params, template)
    parts = _parse_parts(content)
    results, emails = _judge_entries(desk, content, parts, entries)
    return _answer_bulk(desk, params, content, results, emails)


def _check_bulk(params: Json, template: Json, entries: list[Json]) -> str:
    limits.check_tags(params.get("DefaultEmailTags") or [])
    limits.check_headers(template.get("Headers") or [])
    limits.check_addresses(params.get("ReplyToAddresses") or [], "ReplyToAddresses")
    for entry in entries:
        limits.check_tags(entry.get("ReplacementTags") or [])
        limits.check_headers(entry.get("ReplacementHeaders") or [])
    return _sender(params)


def _sender(params: Json) -> str:
    sender = params.get("FromEmailAddress")
    if not sender:
        raise bad_request("FromEmailAddress is required.")
    limits.check_addresses([sender], "FromEmailAddress")
    return str(sender)


def _check_account(desk: Desk) -> None:
    settings = desk.settings
    if settings.enforcement_status == "SHUTDOWN":
        raise ServiceError("AccountSuspendedException", "The account's ability to send email has been suspended.")
    if not settings.sending_enabled:
        raise ServiceError("SendingPausedException", _PAUSED)
    if desk.dice.random() < settings.error_rate:
        raise ServiceError("InternalServiceErrorException", "Internal failure.", status=500)
    if desk.dice.random() < settings.throttle_rate:
        raise ServiceError("TooManyRequestsException", "Maximum sending rate exceeded.", status=429)


def is_verified(desk: Desk, sender: str) -> bool:
    """Say whether the address or a domain above it is a verified identity."""
    address = limits.bare_address(sender).lower()
    domain = address.rpartition("@")[2]
    labels = domain.split(".")
    names = [address, *(".".join(labels[position:]) for position in range(len(labels)))]
    return any(desk.store.resource("identity", name) is not None for name in names)


def _refusal_of_all(desk: Desk, params: Json, template: Json, sender: str) -> tuple[str, str] | None:
    """Return status and error that every entry of a bulk call gets, or None."""
    if not is_verified(desk, sender):
        return "MAIL_FROM_DOMAIN_NOT_VERIFIED", f"Email address is not verified: {limits.bare_address(sender)}"
    name = params.get("ConfigurationSetName")
    if name:
        found = desk.store.resource("configuration_set", name)
        if found is None:
            return "CONFIGURATION_SET_NOT_FOUND", f"Configuration set <{name}> does not exist."
        if (found.get("SendingOptions") or {}).get("SendingEnabled") is False:
            return "CONFIGURATION_SET_SENDING_PAUSED", f"Sending is paused for configuration set <{name}>."
    if "TemplateContent" not in template and _stored_template(desk, template) is None:
        return "TEMPLATE_NOT_FOUND", f"Template {_template_name(template)} does not exist."
    return None


def _template_name(template: Json) -> str:
    return str(template.get("TemplateName") or template.get("TemplateArn", "").rpartition("/")[2])


def _stored_template(desk: Desk, template: Json) -> Json | None:
    stored = desk.store.resource("template", _template_name(template))
    return None if stored is None else stored["TemplateContent"]


def _content(desk: Desk, params: Json, template: Json) -> Json:
    """Gather what every email of a templated call shares."""
    inline = template.get("TemplateContent")
    body = inline if inline is not None else _stored_template(desk, template)
    if body is None:
        raise not_found(f"Template {_template_name(template)} does not exist.")
    if not body.get("Subject") or not (body.get("Html") or body.get("Text")):
        raise bad_request("A template needs a subject, and HTML or text.")
    try:
        limits.template_data(template.get("TemplateData"))
    except ValueError:
        raise bad_request("TemplateData is not a JSON object.") from None
    return {
        "kind": "template",
        "from": params["FromEmailAddress"],
        "reply_to": params.get("ReplyToAddresses") or [],
        "template_name": "" if inline is not None else _template_name(template),
        "subject": body["Subject"],
        "html": body.get("Html") or "",
        "text": body.get("Text") or "",
        "data": template.get("TemplateData") or "",
        "headers": template.get("Headers") or [],
        "attachments": template.get("Attachments") or [],
        "tags": params.get("DefaultEmailTags") or params.get("EmailTags") or [],
    }


def _parse_parts(content: Json) -> list[handlebars.Template]:
    """Parse subject, HTML and text. What Handlebars cannot parse is refused at once."""
    try:
        return [handlebars.parse(content[part]) for part in ("subject", "html", "text")]
    except handlebars.TemplateSyntaxError as error:
        raise bad_request(f"The template could not be parsed: {error}") from None


def _judge_entries(
    desk: Desk, content: Json, parts: list[handlebars.Template], entries: list[Json]
) -> tuple[list[Json | None], list[Outgoing]]:
    """Return per entry the refusal or None, and the emails of those that have none."""
    left = _left_of_day(desk)
    if left <= 0:
        raise ServiceError("LimitExceededException", "Daily message quota exceeded.")
    desk.bucket.take(0)
    taken = 0
    most = max(desk.settings.max_send_rate, 1.0)
    results: list[Json | None] = []
    emails: list[Outgoing] = []
    for entry in entries:
        email = _outgoing(entry)
        problem = _entry_problem(desk, email, parts, content)
        size = len(email.recipients)
        if problem is None and taken + size > most:
            problem = ("ACCOUNT_THROTTLED", "Maximum sending rate exceeded.")
        if problem is None and limits.counted(email.recipients) > left:
            problem = ("ACCOUNT_DAILY_QUOTA_EXCEEDED", "Daily message quota exceeded.")
        if problem is not None:
            results.append({"Status": problem[0], "Error": problem[1]})
            continue
        taken += size
        left -= limits.counted(email.recipients)
        results.append(None)
        emails.append(email)
    desk.bucket.take(taken)
    return results, emails


def _left_of_day(desk: Desk) -> float:
    if desk.settings.max_24_hour < 0:
        return float("inf")
    return desk.settings.max_24_hour - limits.sent_last_24_hours(desk.store.db, desk.clock())


def _outgoing(entry: Json) -> Outgoing:
    replacement = (entry.get("ReplacementEmailContent") or {}).get("ReplacementTemplate") or {}
    email = _addressed(entry["Destination"])
    email.data = replacement.get("ReplacementTemplateData")
    email.headers = entry.get("ReplacementHeaders") or []
    email.tags = entry.get("ReplacementTags") or []
    return email


def _addressed(destination: Json) -> Outgoing:
    return Outgoing(
        to=destination.get("ToAddresses") or [],
        cc=destination.get("CcAddresses") or [],
        bcc=destination.get("BccAddresses") or [],
    )


def _entry_problem(
    desk: Desk, email: Outgoing, parts: list[handlebars.Template], content: Json
) -> tuple[str, str] | None:
    """Check one entry, and on the way find its subject and the variables it lacks."""
    recipients = email.recipients
    if not 1 <= len(recipients) <= limits.MAX_RECIPIENTS:
        return "INVALID_PARAMETER", f"A message takes 1 to {limits.MAX_RECIPIENTS} recipients, not {len(recipients)}."
    for address in recipients:
        wrong = limits.address_problem(address)
        if wrong is not None:
            return "INVALID_PARAMETER", f"{wrong}: {address!r}."
    try:
        data = limits.template_data(email.data) or limits.template_data(content["data"])
    except ValueError:
        return "INVALID_PARAMETER", "ReplacementTemplateData is not a JSON object."
    email.failure = next((name for part in parts if (name := part.missing(data)) is not None), None)
    if email.failure is None:
        email.subject = parts[0].render(data)
    if desk.settings.entry_failure_rate and desk.dice.random() < desk.settings.entry_failure_rate:
        return "TRANSIENT_FAILURE", "The message could not be accepted; try again."
    return None


def _answer_bulk(desk: Desk, params: Json, content: Json, results: list[Json | None], emails: list[Outgoing]) -> Json:
    ids = iter(accept(desk, content, params.get("ConfigurationSetName"), emails) if emails else [])
    answer = [result or {"Status": "SUCCESS", "MessageId": next(ids)} for result in results]
    _maybe_lose_answer(desk)
    return {"BulkEmailEntryResults": answer}


def _maybe_lose_answer(desk: Desk) -> None:
    if desk.settings.lost_answer_rate and desk.dice.random() < desk.settings.lost_answer_rate:
        raise ServiceError("InternalServiceErrorException", "Internal failure.", status=500)


def send_email(call: Call) -> Json:
    """Accept one email: simple, raw, or from a template."""
    desk, params = call.desk, call.params
    kinds = [kind for kind in ("Simple", "Raw", "Template") if (params.get("Content") or {}).get(kind)]
    if len(kinds) != 1:
        raise bad_request("Content needs exactly one of Simple, Raw and Template.")
    body = params["Content"][kinds[0]]
    limits.check_tags(params.get("EmailTags") or [])
    limits.check_headers(body.get("Headers") or [])
    limits.check_addresses(params.get("ReplyToAddresses") or [], "ReplyToAddresses")
    if call.body_size > limits.MAX_MESSAGE:
        raise bad_request("Message length is more than 41943040 bytes long.")
    if kinds[0] == "Raw":
        params, email, content = mime.read_raw(params, body["Data"])
    else:
        email = _addressed(params.get("Destination") or {})
        content = {}
    sender = _sender(params)
    _check_recipients(email)
    _check_account(desk)
    _check_resources(desk, params, sender)
    if kinds[0] == "Simple":
        content = mime.read_simple(params, body)
        email.subject, email.rejected = content["subject"], mime.has_virus(orjson.dumps(body))
    elif kinds[0] == "Template":
        if "TemplateContent" in body and call.body_size > limits.MAX_INLINE_REQUEST:
            raise bad_request("A request with an inline template may have 1 MB.")
        content = _content(desk, params, body)
        problem = _entry_problem(desk, email, _parse_parts(content), content)
        if problem is not None:
            raise bad_request(problem[1])
    return _accept_one(desk, params, content, email)


def _check_recipients(email: Outgoing) -> None:
    if not 1 <= len(email.recipients) <= limits.MAX_RECIPIENTS:
        raise bad_request(f"Recipient count must be 1 to {limits.MAX_RECIPIENTS}, not {len(email.recipients)}.")
    limits.check_addresses(email.recipients, "Destination")


def _check_resources(desk: Desk, params: Json, sender: str) -> None:
    if not is_verified(desk, sender):
        raise ServiceError(
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            + limits.bare_address(sender),
        )
    name = params.get("ConfigurationSetName")
    if name:
        found = desk.store.resource("configuration_set", name)
        if found is None:
            raise not_found(f"Configuration set <{name}> does not exist.")
        if (found.get("SendingOptions") or {}).get("SendingEnabled") is False:
            raise ServiceError("SendingPausedException", f"Sending is paused for configuration set <{name}>.")


def _accept_one(desk: Desk, params: Json, content: Json, email: Outgoing) -> Json:
    if limits.counted(email.recipients) > _left_of_day(desk):
        raise ServiceError("LimitExceededException", "Daily message quota exceeded.")
    desk.bucket.take(len(email.recipients))
    [message_id] = accept(desk, content, params.get("ConfigurationSetName"), [email])
    _maybe_lose_answer(desk)
    return {"MessageId": message_id}
