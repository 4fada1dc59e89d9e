"""What each column probably is, from its heading in several languages and its first values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict

from subscribers.addresses import InvalidAddress, canonical
from subscribers.models import AttributeDefinition, AttributeType
from subscribers.services.attributes import RESERVED
from subscribers.services.importing.plan import ATTRIBUTE
from subscribers.services.importing.sniffing import FileShape
from subscribers.values import DATE_FORMATS, NO, YES, BadValueError, parse_date, parse_datetime, parse_number


class ColumnMapping(TypedDict):
    """One entry of Import.mapping. An empty `field` leaves the column out."""

    column: str
    field: str
    type: str
    format: str


_HEADINGS: Final[dict[str, tuple[str, ...]]] = {
    "email": (
        "email", "emailaddress", "mail", "mailaddress", "subscriberemail", "useremail", "email1value", "primaryemail",
        "адрес", "почта", "емейл", "имейл", "емайл", "электроннаяпочта", "адресэлектроннойпочты", "эпочта", "элпочта",
        "emailadresse", "mailadresse", "epost", "epostadresse", "correo", "correoelectronico", "courriel",
        "adresseemail", "adressemail", "posta", "indirizzoemail",
    ),
    "first_name": (
        "firstname", "first", "fname", "givenname", "forename", "имя", "vorname", "nombre", "prenom", "nome",
    ),
    "last_name": (
        "lastname", "last", "lname", "surname", "familyname", "фамилия", "nachname", "familienname", "apellido",
        "apellidos", "nomdefamille", "cognome",
    ),
    "name": ("name", "fullname", "contactname", "contact", "фио", "полноеимя", "имяифамилия", "имяфамилия", "nom"),
    "locale": ("locale", "language", "lang", "язык", "sprache", "idioma", "langue", "lingua"),
    "time_zone": ("timezone", "tz", "часовойпояс", "zeitzone", "zonahoraria", "fuseauhoraire"),
    "tags": ("tags", "tag", "labels", "теги", "метки", "schlagworte", "etiquetas"),
}  # fmt: skip
_FIELD_OF: Final = {heading: field for field, headings in _HEADINGS.items() for heading in headings}
_LEFT_OUT: Final = re.compile(r"(?:^|[_\s-])(?:id|uuid|guid|hash|token|password|ip)$", re.IGNORECASE)
_repeated = re.compile(r" \(\d+\)$")
_CYRILLIC: Final = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a,b,v,g,d,e,e,zh,z,i,y,k,l,m,n,o,p,r,s,t,u,f,h,ts,ch,sh,sch,,y,,e,yu,ya".split(","),  # noqa: SIM905
        strict=True,
    )
)
_GERMAN: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}


def guess_mapping(shape: FileShape, definitions: Mapping[str, AttributeDefinition]) -> list[ColumnMapping]:
    """Suggest what each column becomes. Two columns never become the same; the first that fits has it."""
    taken: set[str] = set()
    email = _email_column(shape)
    mapping: list[ColumnMapping] = []
    for index, column in enumerate(shape.columns):
        values = [row[index] for row in shape.samples if row[index]]
        kind, date_format = guess_type(values)
        heading = _repeated.sub("", column)
        field = (
            "email"
            if index == email
            else _field_for(heading if heading in shape.columns else column, values, definitions)
        )
        if field in taken or (field == "email" and index != email):
            field = ""
        if field:
            taken.add(field)
        definition = definitions.get(field.removeprefix(ATTRIBUTE)) if field.startswith(ATTRIBUTE) else None
        if not field.startswith(ATTRIBUTE):
            kind, date_format = "", ""
        mapping.append(
            ColumnMapping(column=column, field=field, type=definition.type if definition else kind, format=date_format)
        )
    return mapping


def _email_column(shape: FileShape) -> int:
    """Return the column of addresses: by its heading if its values agree, else the one with the most addresses."""

    def share(index: int) -> float:
        values = [row[index] for row in shape.samples if row[index]]
        return sum(map(_is_address, values)) / len(values) if values else 0.0

    named = [i for i, column in enumerate(shape.columns) if _FIELD_OF.get(_plain(column)) == "email"]
    candidates = named or range(len(shape.columns))
    best = max(candidates, key=share, default=-1)
    return best if named or (best >= 0 and share(best) > 0) else -1


def _is_address(value: str) -> bool:
    try:
        canonical(value)
    except InvalidAddress:
        return False
    return True


def _field_for(column: str, values: Sequence[str], definitions: Mapping[str, AttributeDefinition]) -> str:
    plain = _plain(column)
    if plain in _FIELD_OF:
        return _FIELD_OF[plain]
    for definition in definitions.values():
        if plain in (_plain(definition.key), _plain(definition.label)):
            return f"{ATTRIBUTE}{definition.key}"
    if not values or _LEFT_OUT.search(column.strip()) or re.fullmatch(r"Column \d+", column):
        return ""
    key = key_from(column)
    return f"{ATTRIBUTE}{key}" if key else ""


def _plain(heading: str) -> str:
    """Reduce a heading to its letters and digits, so that `E-mail address` and `EmailAddress` are one."""
    decomposed = unicodedata.normalize("NFKD", heading.casefold().replace("ё", "е").replace("й", "\ue000"))
    kept = "".join(letter for letter in decomposed if letter.isalnum() or letter == "\ue000")
    return kept.replace("\ue000", "й")


def key_from(heading: str) -> str:
    """Make an attribute's key of a heading: `Город` becomes `gorod`, `Kunde seit` `kunde_seit`."""
    text = "".join(_CYRILLIC.get(letter, _GERMAN.get(letter, letter)) for letter in heading.casefold())
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    key = re.sub(r"[^a-z0-9]+", "_", text).strip("_")[:60].rstrip("_")
    if key and not key[0].isalpha():
        key = f"c_{key}"[:60]
    return f"{key}_field" if key in RESERVED else key


def guess_type(values: Sequence[str]) -> tuple[str, str]:
    """Return the type that all values fit, and the date format for dates.

    Numbers that start with 0 stay text: post codes and phone numbers lose their sense without it.
    """
    if not values:
        return AttributeType.TEXT, ""
    if all(value.casefold() in YES | NO for value in values) and not all(value in "01" for value in values):
        return AttributeType.BOOLEAN, ""
    if not any(re.match(r"[+(]?0\d|\+", value) for value in values) and _all_fit(values, parse_number):
        return AttributeType.NUMBER, ""
    for date_format in DATE_FORMATS[:-1]:
        if all(_fits_date(value, date_format) for value in values):
            return AttributeType.DATE, date_format
    if _all_fit(values, parse_datetime):
        return AttributeType.DATETIME, ""
    return AttributeType.TEXT, ""


def _all_fit(values: Sequence[str], parse: Callable[[str], object]) -> bool:
    try:
        for value in values:
            parse(value)
    except BadValueError:
        return False
    return True


def _fits_date(value: str, date_format: str) -> bool:
    try:
        parse_date(value, date_format)
    except BadValueError:
        return False
    return True
