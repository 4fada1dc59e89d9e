from pathlib import Path

from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]


def test_compiled_catalogues_hold_what_the_translations_say() -> None:
    for source in ROOT.glob("amazonsender/locale/*/LC_MESSAGES/*.po"):
        with source.open("rb") as written, source.with_suffix(".mo").open("rb") as compiled:
            catalogue = read_po(written)
            translated = {m.id: m.string for m in catalogue if m.id and m.string and not m.fuzzy and any(m.string)}
            found = {m.id: m.string for m in read_mo(compiled) if m.id}

        assert found == translated, f"{source.name} changed: run `make messages`"
