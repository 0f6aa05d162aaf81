# ruff: noqa: E501, PLR2004 (tables of one entry per line; shares of the mix in place)
"""Makes tools: a shelf of everyday ones and freely invented ones.

What the model must learn is not these tools but to pick by name and description
and to copy arguments out of the request, so most names, arguments and values are
drawn anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from . import words
from .types import Tool, listed


@dataclass(frozen=True)
class Use:
    """A tool with one request for it: the words of the user and the arguments."""

    tool: Tool
    request: str
    arguments: dict[str, Any]


# name(s) ; argument:kind … ; description ; request (en) / … | request (de) … | request (ar)
_SHELF = """
get_weather ; {city:place} ; Get the weather for a city ; What is the weather in {0}? / How is the weather in {0}? / weather {0} / Is it raining in {0}? / What's the weather like in {0} today? | Wie ist das Wetter in {0}? / Wetter in {0} / Regnet es in {0}? | كيف الطقس في {0}؟ / ما حالة الطقس في {0}؟
get_time ; {city:place} ; Get the current time in a city ; What time is it in {0}? / Tell me the time in {0} / current time in {0} | Wie spät ist es in {0}? / Uhrzeit in {0} | كم الساعة في {0}؟
search ; {query:text} ; Search for information ; Search for {0} / Find documents about {0} / Look up {0} / Search the web for {0} / Please search {0} | Suche nach {0} / Finde Dokumente über {0} | ابحث عن {0} / ابحث في الوثائق عن {0}
send_message ; {recipient:name} {text:quoted} ; Send a message to a person ; Send {0} the message "{1}" / Tell {0} "{1}" / Message {0}: "{1}" | Schicke {0} die Nachricht "{1}" / Sag {0} "{1}" | أرسل إلى {0} الرسالة "{1}"
add ; {a:int} {b:int} ; Add two numbers ; Add {0} and {1} / What is {0} plus {1}? / Use the tool to add {0} and {1} / {0} + {1} | Addiere {0} und {1} / Was ist {0} plus {1}? | اجمع {0} و {1}
multiply ; {a:int} {b:int} ; Multiply two numbers ; Multiply {0} by {1} / What is {0} times {1}? / {0} * {1} | Multipliziere {0} mit {1} / Was ist {0} mal {1}? | اضرب {0} في {1}
create_ticket ; {title:quoted} ; Create a support ticket ; Create a ticket "{0}" / Open a ticket with the title "{0}" | Erstelle ein Ticket "{0}" | أنشئ تذكرة "{0}"
set_timer ; {minutes:int} ; Start a timer ; Set a timer for {0} minutes / Start a {0} minute timer / timer {0} minutes | Stelle einen Timer auf {0} Minuten | اضبط مؤقتا لمدة {0} دقائق
convert_currency ; {amount:int} {from_currency:cur} {to_currency:cur} ; Convert money between currencies ; Convert {0} {1} to {2} / How much is {0} {1} in {2}? / {0} {1} to {2} | Wie viel sind {0} {1} in {2}? / Rechne {0} {1} in {2} um | حول {0} {1} إلى {2}
get_user ; {name:name} ; Look up a user by name ; Find the user {0} / Look up {0} / Who is the user {0}? | Finde den Benutzer {0} | ابحث عن المستخدم {0}
get_order ; {order_id:code} ; Get the status of an order ; What is the status of order {0}? / Where is my order {0}? / Track order {0} | Wo ist meine Bestellung {0}? / Status der Bestellung {0} | أين طلبي {0}؟ / ما حالة الطلب {0}؟
read_file ; {path:path} ; Read a file ; Read the file {0} / Open {0} / Show me the file {0} / What is in {0}? | Lies die Datei {0} / Öffne {0} | اقرأ الملف {0}
turn_on ; {device:thing} ; Turn on a device ; Turn on the {0} / Switch on the {0} / Switch the {0} on | Schalte {0} ein / Mach {0} an | شغل {0}
turn_off ; {device:thing} ; Turn off a device ; Turn off the {0} / Switch off the {0} / Switch the {0} off | Schalte {0} aus / Mach {0} aus | أطفئ {0}
get_population ; {country:place} ; Get the population of a place ; What is the population of {0}? / How many people live in {0}? | Wie viele Menschen leben in {0}? | كم عدد سكان {0}؟
roll_dice ; {sides:int} ; Roll a dice ; Roll a dice with {0} sides / Roll a {0}-sided dice | Wirf einen Würfel mit {0} Seiten | ارم نردا له {0} أوجه

""".strip().splitlines()

_VERBS = listed("""
    get find create delete update check start stop open close add remove count show list fetch
    load save send print book cancel order move copy rename approve archive assign block measure
    scan clean paint charge lock unlock""")
_PHRASES = ("Please {verb} the {noun}", "Use {tool}", "Call {tool}")
_DE_PHRASES = ("Rufe {tool} auf", "Benutze {tool}")
_AR_PHRASES = ("استخدم {tool}", "استدع {tool}")
_ARG_NAMES = listed("""
    id number name title city country date day amount price size color code user path file text
    topic level limit mode unit street owner category priority status tag key label room floor
    speed year month reason note team project""")
_LINK = " with {arg} {value}"
_DE_LINK = " mit {arg} {value}"
_AR_LINK = " مع {arg} {value}"


def _value(rng: Random, lang: str, kind: str) -> Any:
    """A made-up argument of the given kind."""
    makers: dict[str, Any] = {
        "place": lambda: words.city(rng, lang),
        "int": lambda: rng.randint(1, 99),
        "name": lambda: words.full_name(rng, lang),
        "text": lambda: " ".join(words.noun(rng, lang) for _ in range(rng.randint(1, 2))),
        "quoted": lambda: words.sentence(rng, lang, rng.randint(1, 4)).rstrip(".!?؟"),
        "cur": lambda: rng.choice(["EUR", "USD", "GBP", "CHF", "JPY", "AED", "EGP", "SEK"]),
        "code": lambda: words.code(rng),
        "path": lambda: rng.choice(words.NOUNS["en"]) + rng.choice((".txt", ".py", ".md", ".csv")),
        "thing": lambda: words.noun(rng, lang),
    }
    return makers[kind]()


def _shelf_entry(rng: Random, lang: str, row: str) -> Use:
    """A tool of the shelf with a request."""
    name, args, description, requests = (part.strip() for part in row.split(";"))
    specs = [a.strip("{}").split(":") for a in args.split()]
    values = [_value(rng, lang, kind) for _, kind in specs]
    by_lang = dict(zip(words.LANGS, requests.split("|"), strict=True))
    request = rng.choice(by_lang[lang].split(" / ")).strip().format(*values)
    types = tuple((arg, "integer" if kind == "int" else "string") for arg, kind in specs)
    arguments = {arg: value for (arg, _), value in zip(specs, values, strict=True)}
    return Use(Tool(name, description, types), request, arguments)


def _invented(rng: Random, lang: str) -> Use:
    """A tool that nobody has seen: verb and noun, arguments named in the request."""
    verb, noun = rng.choice(_VERBS), rng.choice(words.NOUNS["en"])
    name = f"{verb}_{noun}"
    phrases = {"en": _PHRASES, "de": _DE_PHRASES, "ar": _AR_PHRASES}[lang]
    link = {"en": _LINK, "de": _DE_LINK, "ar": _AR_LINK}[lang]
    request = rng.choice(phrases).format(verb=verb, noun=noun, tool=name)
    arguments: dict[str, Any] = {}
    types: list[tuple[str, str]] = []
    for arg in rng.sample(_ARG_NAMES, rng.choice((1, 1, 2))):
        kind = rng.choice(("int", "code", "name", "thing", "place"))
        arguments[arg] = _value(rng, lang, kind)
        types.append((arg, "integer" if kind == "int" else "string"))
        request += link.format(arg=arg, value=arguments[arg])
    return Use(Tool(name, f"{verb} a {noun}", tuple(types)), request, arguments)


def shelf(rng: Random, lang: str, amount: int) -> tuple[Use, ...]:
    """Several tools with one request each, no two sharing a shelf row or a name."""
    rows = rng.sample(_SHELF, amount)
    uses: dict[str, Use] = {}
    for row in rows:
        made = _shelf_entry(rng, lang, row) if rng.random() < 0.75 else _invented(rng, lang)
        uses.setdefault(made.tool.name, made)
    return tuple(uses.values())
