"""Stored email templates. They substitute variables only, although SES has all of Handlebars there."""

from __future__ import annotations

from localses import handlebars, limits, mime
from localses.desk import Call
from localses.errors import already_exists, bad_request, not_found
from localses.model import Json
from localses.resources import page


def create_email_template(call: Call) -> Json:
    """Store a template under a new name. Raises BadRequestException for one that doesn't parse."""
    name = call.params["TemplateName"]
    if call.desk.store.resource("template", name) is not None:
        raise already_exists(f"Template {name} already exists.")
    _store(call, name)
    return {}


def update_email_template(call: Call) -> Json:
    """Replace a template's content."""
    _existing(call)
    _store(call, call.params["TemplateName"])
    return {}


def _store(call: Call, name: str) -> None:
    content = call.params["TemplateContent"]
    if not content.get("Subject"):
        raise bad_request("A template needs a subject.")
    if sum(len((content.get(part) or "").encode()) for part in ("Html", "Text")) > limits.MAX_STORED_TEMPLATE:
        raise bad_request("The template's HTML and text may have 500 KB together.")
    try:
        for part in ("Subject", "Html", "Text"):
            handlebars.parse(content.get(part) or "")
    except handlebars.TemplateSyntaxError as error:
        raise bad_request(f"The template could not be parsed: {error}") from None
    body = {"TemplateName": name, "TemplateContent": content}
    call.desk.store.put_resource("template", name, body, call.desk.clock())


def _existing(call: Call) -> Json:
    body = call.desk.store.resource("template", call.params["TemplateName"])
    if body is None:
        raise not_found(f"Template {call.params['TemplateName']} does not exist.")
    return body


def get_email_template(call: Call) -> Json:
    """Return a stored template."""
    return _existing(call)


def delete_email_template(call: Call) -> Json:
    """Delete a stored template."""
    _existing(call)
    call.desk.store.delete_resource("template", call.params["TemplateName"])
    return {}


def list_email_templates(call: Call) -> Json:
    """List the stored templates by name."""
    rows = call.desk.store.resources("template")
    return page(call, [{"TemplateName": name, "CreatedTimestamp": at} for name, _, at in rows], "TemplatesMetadata")


def test_render_email_template(call: Call) -> Json:
    """Render a stored template into a MIME message. Raises BadRequestException for a missing variable."""
    content = _existing(call)["TemplateContent"]
    try:
        data = limits.template_data(call.params["TemplateData"])
        subject, text, html = (
            handlebars.parse(content.get(part) or "").render(data) for part in ("Subject", "Text", "Html")
        )
    except ValueError:
        raise bad_request("TemplateData is not a JSON object.") from None
    except handlebars.MissingAttributeError as error:
        raise bad_request(f"Attribute '{error.name}' is not present in the rendering data.") from None
    return {"RenderedTemplate": mime.alternative(subject, text, html).decode()}
