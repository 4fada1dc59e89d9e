"""The newsletter that every benchmark sends: about 30 KB of HTML and text, 8 variables, one loop, one condition, 25 links."""

from __future__ import annotations

from delivery.compiling import AttributeType, EmailSource, Footer, Schema

SCHEMA = Schema(
    {
        "city": AttributeType.TEXT,
        "company": AttributeType.TEXT,
        "plan": AttributeType.CHOICE,
        "points": AttributeType.NUMBER,
        "renews_on": AttributeType.DATE,
        "code": AttributeType.TEXT,
        "interests": AttributeType.LIST,
    }
)
ORGANIZATION = {
    "name": "Northwind Journal",
    "postal_address": "Northwind Journal, Harbour Street 12, 1100-148 Lisbon, Portugal",
    "website": "https://northwind.example",
}
FOOTER = Footer(ORGANIZATION["name"], ORGANIZATION["postal_address"], "en")
PUBLIC_URL = "https://mail.northwind.example"
SENDER = f"{ORGANIZATION['name']} <news@northwind.example>"

_INTERESTS = ("design", "travel", "music", "cooking", "cycling", "cinema", "gardening", "astronomy")
_FIRST = ("Ada", "Zoë", "Mikhail", "Ana", "Björn", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Inês", "Jan")
_LAST = ("Lovelace", "O'Neil", "Žižka", "Santos", "Nguyễn", "García", "Ivanova", "Smith", "Kowalska", "Rossi", "Weiß")
_CITIES = ("Lisbon", "Berlin", "São Paulo", "Kyiv", "Tbilisi", "Oslo", "Porto", "Łódź", "New York", "Kyoto", "Yerevan")
_PLANS = ("free", "silver", "gold")

_STYLE = """
  body { margin: 0; padding: 0; background: #f2f0eb; }
  .wrap { background: #f2f0eb; font-family: Georgia, 'Times New Roman', serif; color: #22201c; }
  .card { background: #ffffff; border-radius: 12px; }
  .lead { font-size: 18px; line-height: 28px; color: #3b372f; }
  .story h2 { font-size: 24px; line-height: 30px; margin: 0 0 8px 0; color: #16324f; font-weight: normal; }
  .story p { font-size: 16px; line-height: 25px; margin: 0 0 14px 0; color: #4a453c; }
  .kicker { font-family: Helvetica, Arial, sans-serif; font-size: 11px; letter-spacing: 2px; color: #b4552d;
            text-transform: uppercase; }
  .button { background: #16324f; color: #ffffff; font-family: Helvetica, Arial, sans-serif; font-size: 15px;
            border-radius: 6px; padding: 12px 22px; text-decoration: none; display: inline-block; }
  .small { font-family: Helvetica, Arial, sans-serif; font-size: 12px; line-height: 19px; color: #77705f; }
  a:hover { color: #b4552d; }
  @media (max-width: 600px) { .card { width: 100% !important; } .half { display: block !important; width: 100% !important; } }
  @media (prefers-color-scheme: dark) { .card { background: #1d1b18 !important; } .story p { color: #d8d2c4 !important; } }
"""
_TITLES = (
    "The lighthouse keeper who reads to ships",
    "Eleven ways to bake bread with nothing but patience",
    "A night train is a small republic",
    "What the river remembers of the old bridge",
    "Learning to draw by looking twice",
    "The quiet return of the public bench",
    "Three gardens you can visit before breakfast",
    "Why the best maps leave something out",
    "A field guide to city sounds",
    "The clockmaker's apprentice is eighty-one",
)
_SENTENCES = (
    "It began with a letter that nobody had asked for, and an answer that took eleven years to arrive.",
    "We spent a week there with a notebook, two cameras and no plan, which turned out to be the right equipment.",
    "Every morning somebody opens the door, sweeps the step and waits for whoever comes first.",
    "There is no sign outside, only a chair, and whoever sits down on it is taken to have arrived and is offered tea.",
    "Nobody could say when the custom began, but everybody knew exactly how it was done and who had done it wrong.",
    "On the way back the light had changed, the ferry was late, and we understood what the old man had meant by enough.",
    "We have put the long version, with all the photographs and a map to print, on our pages for you to read tonight.",
    "What we brought home fits in a coat pocket: a pressed leaf, a bill for two coffees and an address on a napkin.",
    "Ask for Teresa, say that we sent you, and do not be in a hurry, because the door opens from the inside only.",
    "The recipe is older than the house, the house is older than the street, and the street has just been renamed.",
)


def newsletter() -> EmailSource:
    """Write the newsletter."""
    stories = "\n".join(_story(number, title) for number, title in enumerate(_TITLES, start=1))
    html = f"""<!DOCTYPE html>
<html lang="en" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Northwind Journal</title>
<style>{_STYLE}</style>
<!--[if mso]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml><![endif]-->
</head>
<body>
<table role="presentation" class="wrap" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td align="center" style="padding: 24px 12px">
<table role="presentation" class="card" width="640" cellpadding="0" cellspacing="0" border="0">
<tr><td style="padding: 28px 40px 8px 40px" align="center">
  <a href="https://northwind.example/"><img src="https://static.northwind.example/logo.png" width="180" height="48" alt="Northwind Journal" style="border: 0"></a>
  <p class="small">For {{{{ first_name | default: "reader" }}}} in {{{{ city | default: "the world" }}}} &middot; <a href="{{{{ web_view_url }}}}">Read in your browser</a></p>
</td></tr>
<tr><td class="story" style="padding: 8px 40px 24px 40px">
  <p class="lead">Dear {{{{ first_name | default: "reader" }}}}, this month we went looking for people who take their time. We found ten of them, and a train.</p>
</td></tr>
<tr><td style="padding: 0 40px 24px 40px">
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="background: #f7f4ee; border-radius: 8px">
  <tr><td class="story" style="padding: 18px 22px">
    <p><strong>{{{{ name }}}}</strong>, {{{{ attributes.company }}}}<br>{{{{ attributes.points }}}} points &middot; renews on {{{{ attributes.renews_on }}}} &middot; member code {{{{ attributes.code }}}}</p>
    {{% if attributes.plan == "gold" %}}<p>Your gold seat in {{{{ city }}}} is kept. <a href="https://northwind.example/evening?plan=gold&amp;utm_source=journal">Reserve it</a></p>{{% else %}}<p>Members read without advertisements. <a href="https://northwind.example/join?utm_source=journal">Become one</a></p>{{% endif %}}
    <p>Picked for you:</p>
    <ul style="font-size: 16px; line-height: 26px">{{% for interest in attributes.interests %}}<li>{{{{ interest | capitalize }}}}</li>{{% endfor %}}</ul>
  </td></tr>
  </table>
</td></tr>
{stories}
<tr><td align="center" style="padding: 12px 40px 28px 40px">
  <a class="button" href="https://northwind.example/archive?utm_source=journal&amp;utm_medium=email">All stories of the month</a>
  <p class="small">Something on your mind? <a href="https://northwind.example/letters?utm_source=journal&amp;utm_medium=email">Write to the editors</a>.</p>
</td></tr>
<tr><td class="small" align="center" style="padding: 18px 40px 28px 40px; border-top: 1px solid #e6e0d3">
  {{{{ organization.postal_address }}}}<br>
  Sent to {{{{ email }}}}. <a href="{{{{ preferences_url }}}}">Email preferences</a> &middot; <a href="{{{{ unsubscribe_url }}}}">Unsubscribe</a>
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""
    return EmailSource(
        subject='{{ first_name | default: "Hello" }}, ten people who take their time',
        html=html,
        preheader="A lighthouse, a night train and what the river remembers.",
    )


def person(i: int) -> dict[str, object]:
    """Make up reader number i, the same each time."""
    first, last = _FIRST[i % len(_FIRST)], _LAST[i % len(_LAST)]
    begin = i % len(_INTERESTS)
    count = 2 + i // 8 % 4
    interests = [_INTERESTS[(begin + step) % len(_INTERESTS)] for step in range(count)]
    return {
        "email": f"reader{i}@example.com",
        "first_name": first,
        "last_name": last,
        "locale": "en",
        "time_zone": "Europe/Lisbon",
        "tags": ["reader"],
        "attributes": {
            "city": _CITIES[i % len(_CITIES)],
            "company": f"{last} & Daughters {i % 997}",
            "plan": _PLANS[i % 3],
            "points": i * 7 % 5000,
            "renews_on": f"2027-{i % 12 + 1:02d}-{i % 28 + 1:02d}",
            "code": f"NW-{i:07d}",
            "interests": interests,
        },
    }


def _story(number: int, title: str) -> str:
    slug = title.lower().replace(" ", "-").replace("'", "")
    query = f"utm_source=journal&amp;utm_medium=email&amp;utm_content=story-{number}"
    text = " ".join(_SENTENCES[(number + step) % len(_SENTENCES)] for step in range(2))
    return f"""<tr><td class="story" style="padding: 18px 40px; border-top: 1px solid #e6e0d3">
  <!--[if mso]><table role="presentation" width="560" cellpadding="0" cellspacing="0" border="0"><tr><td width="200" valign="top" style="width: 200px; padding: 4px 22px 10px 0"><![endif]-->
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="border-collapse: collapse; mso-table-lspace: 0pt; mso-table-rspace: 0pt"><tr>
  <td class="half" width="200" valign="top" style="padding: 4px 22px 10px 0">
    <a href="https://northwind.example/stories/{slug}?{query}"><img src="https://static.northwind.example/stories/{number}.jpg" width="200" height="150" alt="{title}" style="display: block; border: 0; border-radius: 8px"></a>
  </td>
  <td class="half" valign="top">
    <span class="kicker">Story {number}</span>
    <h2>{title}</h2>
    <p>{text}</p>
    <p><a href="https://northwind.example/stories/{slug}/read?{query}" style="color: #b4552d">Read the story</a></p>
  </td></tr></table>
  <!--[if mso]></td><td valign="top" style="font-family: Georgia, 'Times New Roman', serif; mso-line-height-rule: exactly"></td></tr></table><![endif]-->
</td></tr>"""
