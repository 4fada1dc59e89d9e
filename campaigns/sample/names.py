"""Names of sample people: as they are written, and as they write themselves in an address."""

from __future__ import annotations

from typing import NamedTuple


class Names(NamedTuple):
    """First and last names of a language as (written, in an address), with places to live and a time zone."""

    locale: str
    time_zone: str
    cities: tuple[str, ...]
    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]


def _plain(words: str) -> tuple[tuple[str, str], ...]:
    return tuple((word, word.lower()) for word in words.split())


def _pairs(words: str) -> tuple[tuple[str, str], ...]:
    return tuple((pair.split("=")[0], pair.split("=")[1]) for pair in words.split())


LANGUAGES = (
    Names(
        "en",
        "Europe/London",
        ("Bristol", "Leeds", "Glasgow", "Cork"),
        _plain(
            "Ada Alice Arthur Beth Clara Daisy Edith Frank George Harriet Iris Jack Kate Liam Mabel Nora Oscar Poppy"
        ),
        _plain("Marsh Baker Carter Dawson Ellis Fisher Grant Hughes Irving Jarvis Kerr Lowe Mercer Nash Owen Pike"),
    ),
    Names(
        "de",
        "Europe/Berlin",
        ("Berlin", "Leipzig", "Köln", "Graz"),
        _pairs(
            "Jürgen=juergen Anja=anja Björn=bjoern Greta=greta Käthe=kaethe Lars=lars Uwe=uwe Zoë=zoe Ulrike=ulrike"
        ),
        _pairs("Weiß=weiss Müller=mueller Schäfer=schaefer Groß=gross Vogel=vogel Krüger=krueger Lang=lang Böhm=boehm"),
    ),
    Names(
        "fr",
        "Europe/Paris",
        ("Lyon", "Nantes", "Liège", "Genève"),
        _pairs("Chloé=chloe Éric=eric Hélène=helene Inès=ines Jérôme=jerome Léa=lea Noël=noel Zélie=zelie Marc=marc"),
        _pairs(
            "Lefèvre=lefevre Dubois=dubois Garçon=garcon Besançon=besancon Moreau=moreau Rivière=riviere Petit=petit"
        ),
    ),
    Names(
        "ru",
        "Europe/Riga",
        ("Рига", "Вильнюс", "Тбилиси", "Белград"),
        _pairs(
            "Мария=maria Лев=lev Анна=anna Иван=ivan Ольга=olga Пётр=petr Софья=sofia Юлия=yulia Фёдор=fedor Вера=vera"
        ),
        _pairs(
            "Орлова=orlova Ким=kim Бондаренко=bondarenko Шевчук=shevchuk Черных=chernykh Гончар=gonchar Мельник=melnik"
        ),
    ),
    Names(
        "lv",
        "Europe/Riga",
        ("Rīga", "Liepāja", "Cēsis", "Daugavpils"),
        _pairs("Jānis=janis Līga=liga Mārtiņš=martins Elīna=elina Andris=andris Zane=zane Kārlis=karlis Inese=inese"),
        _pairs("Bērziņa=berzina Kalniņš=kalnins Ozols=ozols Liepa=liepa Krūmiņa=krumina Zariņš=zarins Vītola=vitola"),
    ),
    Names(
        "pl",
        "Europe/Warsaw",
        ("Kraków", "Łódź", "Gdańsk", "Poznań"),
        _pairs("Zofia=zofia Paweł=pawel Łukasz=lukasz Małgorzata=malgorzata Jan=jan Kasia=kasia Michał=michal Ola=ola"),
        _pairs("Nowak=nowak Wójcik=wojcik Zając=zajac Dąbrowska=dabrowska Król=krol Wróbel=wrobel Pająk=pajak"),
    ),
    Names(
        "el",
        "Europe/Athens",
        ("Αθήνα", "Θεσσαλονίκη", "Πάτρα"),
        _pairs("Ελένη=eleni Γιώργος=giorgos Νίκος=nikos Σοφία=sofia Δήμητρα=dimitra Κώστας=kostas"),
        _pairs("Παππάς=pappas Νικολάου=nikolaou Γεωργίου=georgiou Οικονόμου=oikonomou Βασιλείου=vasileiou"),
    ),
    Names(
        "ja",
        "Asia/Tokyo",
        ("東京", "京都", "札幌"),
        _pairs("さくら=sakura 健太=kenta 陽子=yoko 拓海=takumi 美咲=misaki 大輔=daisuke"),
        _pairs("佐藤=sato 鈴木=suzuki 高橋=takahashi 田中=tanaka 渡辺=watanabe 小林=kobayashi"),
    ),
    Names(
        "ar",
        "Africa/Cairo",
        ("القاهرة", "الإسكندرية", "عمّان"),
        _pairs("ليلى=layla عمر=omar سارة=sara يوسف=yousef مريم=mariam خالد=khaled"),
        _pairs("حسن=hassan منصور=mansour نجار=najjar حداد=haddad سليم=salim"),
    ),
)
# How many of a hundred people speak each; the rest of the hundred is the first.
SHARES = (36, 12, 9, 14, 9, 8, 4, 5, 3)
