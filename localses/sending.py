"""SendEmail and SendBulkEmail."""

from __future__ import annotations

import orjson

from localses import handlebars, limits, mime
from localses.acceptance import Outgoing, accept
from localses.desk import Call, Desk
from localses.errors import QUOTA_EXCEEDED, RATE_EXCEEDED, ServiceError, bad_request, exception, not_found, server_error
from localses.faults import ENTRY_FAILURES
from localses.model import Json


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
    refusal = _refusal_of_all(call, template, sender)
    if refusal is not None:
        return {"BulkEmailEntryResults": [{"Status": refusal[0], "Error": refusal[1]} for _ in entries]}
    content = _content(desk, params, template)
    parts = _parse_parts(content)
    results, emails = _judge_entries(call, content, parts, entries)
    ids = iter(accept(call, content, params.get("ConfigurationSetName"), emails) if emails else [])
    return {"BulkEmailEntryResults": [result or {"Status": "SUCCESS", "MessageId": next(ids)} for result in results]}


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
        raise exception("AccountSuspendedException")
    if not settings.sending_enabled:
        raise exception("SendingPausedException")


def _is_verified(call: Call, sender: str) -> bool:
    """Say whether the address or a domain above it is a verified identity."""
    address = limits.bare_address(sender).lower()
    domain = address.rpartition("@")[2]
    labels = domain.split(".")
    names = [address, *(".".join(labels[position:]) for position in range(len(labels)))]
    return bool(call.turn.verified([name for name in names if call.desk.store.resource("identity", name) is not None]))


def _refusal_of_all(call: Call, template: Json, sender: str) -> tuple[str, str] | None:
    """Return status and error that every entry of a bulk call gets, or None."""
    desk, params = call.desk, call.params
    if not _is_verified(call, sender):
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
    call: Call, content: Json, parts: list[handlebars.Template], entries: list[Json]
) -> tuple[list[Json | None], list[Outgoing]]:
    """Return per entry the refusal or None, and the emails of those that have none."""
    desk = call.desk
    left = _left_of_day(desk)
    if left <= 0:
        raise exception("LimitExceededException")
    desk.bucket.take(0)
    taken = 0
    most = max(desk.settings.max_send_rate, 1.0)
    results: list[Json | None] = []
    emails: list[Outgoing] = []
    for entry in entries:
        email = _outgoing(entry)
        problem = _entry_problem(email, parts, content) or call.turn.entry_failure(email.recipients)
        size = len(email.recipients)
        if problem is None and taken + size > most:
            problem = ("ACCOUNT_THROTTLED", RATE_EXCEEDED)
        if problem is None and limits.counted(email.recipients) > left:
            problem = ("ACCOUNT_DAILY_QUOTA_EXCEEDED", QUOTA_EXCEEDED)
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


def _entry_problem(email: Outgoing, parts: list[handlebars.Template], content: Json) -> tuple[str, str] | None:
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
    return None


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
    _check_resources(call, params.get("ConfigurationSetName"), sender)
    if kinds[0] == "Simple":
        content = mime.read_simple(params, body)
        email.subject, email.rejected = content["subject"], mime.has_virus(orjson.dumps(body))
    elif kinds[0] == "Template":
        if "TemplateContent" in body and call.body_size > limits.MAX_INLINE_REQUEST:
            raise bad_request("A request with an inline template may have 1 MB.")
        content = _content(desk, params, body)
        problem = _entry_problem(email, _parse_parts(content), content)
        if problem is not None:
            raise bad_request(problem[1])
    return _accept_one(call, content, params.get("ConfigurationSetName"), email)


def _check_recipients(email: Outgoing) -> None:
    if not 1 <= len(email.recipients) <= limits.MAX_RECIPIENTS:
        raise bad_request(f"Recipient count must be 1 to {limits.MAX_RECIPIENTS}, not {len(email.recipients)}.")
    limits.check_addresses(email.recipients, "Destination")


def _check_resources(call: Call, configuration_set: str | None, sender: str) -> None:
    if not _is_verified(call, sender):
        raise ServiceError(
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            + limits.bare_address(sender),
        )
    if configuration_set:
        found = call.desk.store.resource("configuration_set", configuration_set)
        if found is None:
            raise not_found(f"Configuration set <{configuration_set}> does not exist.")
        if (found.get("SendingOptions") or {}).get("SendingEnabled") is False:
            raise exception("SendingPausedException", f"Sending is paused for configuration set <{configuration_set}>.")


def _accept_one(call: Call, content: Json, configuration_set: str | None, email: Outgoing) -> Json:
    failure = call.turn.entry_failure(email.recipients)
    if failure is not None:
        code = ENTRY_FAILURES[failure[0]][1]
        raise exception(code, failure[1]) if code else server_error()
    if limits.counted(email.recipients) > _left_of_day(call.desk):
        raise exception("LimitExceededException")
    call.desk.bucket.take(len(email.recipients))
    [message_id] = accept(call, content, configuration_set, [email])
    return {"MessageId": message_id}
