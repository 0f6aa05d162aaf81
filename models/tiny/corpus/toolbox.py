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
get_weather weather current_weather get_current_weather ; {city:place} ; Get the weather for a city ; What is the weather in {0}? / How is the weather in {0}? / weather {0} / Is it raining in {0}? / What's the weather like in {0} today? | Wie ist das Wetter in {0}? / Wetter in {0} / Regnet es in {0}? | كيف الطقس في {0}؟ / ما حالة الطقس في {0}؟
get_forecast forecast weather_forecast ; {city:place} {days:int} ; Weather forecast for the next days ; What is the forecast for {0} for {1} days? / Forecast for {0}, next {1} days | Wie wird das Wetter in {0} in den nächsten {1} Tagen? | ما توقعات الطقس في {0} لمدة {1} أيام؟
get_time current_time time_in ; {city:place} ; Get the current time in a city ; What time is it in {0}? / Tell me the time in {0} / current time in {0} | Wie spät ist es in {0}? / Uhrzeit in {0} | كم الساعة في {0}؟
search search_web web_search search_documents search_docs ; {query:text} ; Search for information ; Search for {0} / Find documents about {0} / Look up {0} / Search the web for {0} / Please search {0} | Suche nach {0} / Finde Dokumente über {0} | ابحث عن {0} / ابحث في الوثائق عن {0}
send_email email send_mail ; {to:mail} {subject:text} ; Send an email ; Send an email to {0} with the subject {1} / Email {0} about {1} / Mail {0} with subject {1} | Sende eine E-Mail an {0} mit dem Betreff {1} | أرسل بريدا إلى {0} بعنوان {1}
send_message message notify ; {recipient:name} {text:quoted} ; Send a message to a person ; Send {0} the message "{1}" / Tell {0} "{1}" / Message {0}: "{1}" | Schicke {0} die Nachricht "{1}" / Sag {0} "{1}" | أرسل إلى {0} الرسالة "{1}"
add add_numbers sum ; {a:int} {b:int} ; Add two numbers ; Add {0} and {1} / What is {0} plus {1}? / Use the tool to add {0} and {1} / {0} + {1} | Addiere {0} und {1} / Was ist {0} plus {1}? | اجمع {0} و {1}
multiply mul product ; {a:int} {b:int} ; Multiply two numbers ; Multiply {0} by {1} / What is {0} times {1}? / {0} * {1} | Multipliziere {0} mit {1} / Was ist {0} mal {1}? | اضرب {0} في {1}
calculate calculator evaluate ; {expression:expr} ; Evaluate an arithmetic expression ; Calculate {0} / What is {0}? / Compute {0} / Work out {0} | Berechne {0} / Was ist {0}? | احسب {0}
create_ticket open_ticket new_ticket ; {title:quoted} ; Create a support ticket ; Create a ticket "{0}" / Open a ticket with the title "{0}" | Erstelle ein Ticket "{0}" | أنشئ تذكرة "{0}"
set_reminder remind create_reminder ; {text:quoted} {date:date} ; Set a reminder ; Remind me of "{0}" on {1} / Set a reminder "{0}" for {1} | Erinnere mich an "{0}" am {1} | ذكرني ب "{0}" في {1}
set_timer start_timer timer ; {minutes:int} ; Start a timer ; Set a timer for {0} minutes / Start a {0} minute timer / timer {0} minutes | Stelle einen Timer auf {0} Minuten | اضبط مؤقتا لمدة {0} دقائق
convert_currency exchange currency_convert ; {amount:int} {from_currency:cur} {to_currency:cur} ; Convert money between currencies ; Convert {0} {1} to {2} / How much is {0} {1} in {2}? / {0} {1} to {2} | Wie viel sind {0} {1} in {2}? / Rechne {0} {1} in {2} um | حول {0} {1} إلى {2}
translate translate_text ; {text:quoted} {language:lang} ; Translate text into a language ; Translate "{0}" to {1} / Translate "{0}" into {1} | Übersetze "{0}" ins {1} | ترجم "{0}" إلى {1}
get_user find_user lookup_user ; {name:name} ; Look up a user by name ; Find the user {0} / Look up {0} / Who is the user {0}? | Finde den Benutzer {0} | ابحث عن المستخدم {0}
get_order order_status track_order check_order ; {order_id:code} ; Get the status of an order ; What is the status of order {0}? / Where is my order {0}? / Track order {0} | Wo ist meine Bestellung {0}? / Status der Bestellung {0} | أين طلبي {0}؟ / ما حالة الطلب {0}؟
read_file open_file load_file ; {path:path} ; Read a file ; Read the file {0} / Open {0} / Show me the file {0} / What is in {0}? | Lies die Datei {0} / Öffne {0} | اقرأ الملف {0}
delete_file remove_file ; {path:path} ; Delete a file ; Delete the file {0} / Remove {0} | Lösche die Datei {0} | احذف الملف {0}
list_files ls list_directory ; {path:path} ; List the files in a folder ; List the files in {0} / Which files are in {0}? | Liste die Dateien in {0} auf | اعرض الملفات في {0}
book_flight find_flights search_flights ; {origin:place} {destination:place} ; Find flights between two cities ; Find flights from {0} to {1} / Book a flight from {0} to {1} / I want to fly from {0} to {1} | Finde Flüge von {0} nach {1} / Buche einen Flug von {0} nach {1} | ابحث عن رحلات من {0} إلى {1}
book_table reserve_table make_reservation ; {restaurant:proper} {people:int} ; Reserve a table in a restaurant ; Book a table at {0} for {1} people / Reserve a table for {1} at {0} | Reserviere einen Tisch im {0} für {1} Personen | احجز طاولة في {0} لعدد {1} أشخاص
play_music play_song play ; {song:proper} ; Play music ; Play {0} / Play the song {0} / I want to hear {0} | Spiele {0} / Spiel das Lied {0} | شغل أغنية {0}
turn_on switch_on enable_device ; {device:thing} ; Turn on a device ; Turn on the {0} / Switch on the {0} / Switch the {0} on | Schalte {0} ein / Mach {0} an | شغل {0}
turn_off switch_off disable_device ; {device:thing} ; Turn off a device ; Turn off the {0} / Switch off the {0} / Switch the {0} off | Schalte {0} aus / Mach {0} aus | أطفئ {0}
get_stock_price stock_price quote ; {symbol:sym} ; Get the price of a stock ; What is the stock price of {0}? / How much is {0} stock? / price of {0} | Wie steht die Aktie {0}? | ما سعر سهم {0}؟
add_event create_event calendar_add ; {title:quoted} {date:date} ; Add an event to the calendar ; Add "{0}" to my calendar on {1} / Create an event "{0}" on {1} | Trage "{0}" am {1} in den Kalender ein | أضف "{0}" إلى التقويم في {1}
get_population population ; {country:place} ; Get the population of a place ; What is the population of {0}? / How many people live in {0}? | Wie viele Menschen leben in {0}? | كم عدد سكان {0}؟
run_query query_database sql ; {sql:sql} ; Run a SQL query ; Run the query {0} / Execute {0} | Führe die Abfrage {0} aus | نفذ الاستعلام {0}
roll_dice dice ; {sides:int} ; Roll a dice ; Roll a dice with {0} sides / Roll a {0}-sided dice | Wirf einen Würfel mit {0} Seiten | ارم نردا له {0} أوجه
""".strip().splitlines()

_VERBS = listed("""
    get find create delete update check start stop open close add remove count show list fetch
    load save send print book cancel order move copy rename approve archive assign block measure
    scan clean paint charge lock unlock""")
_PHRASES = ("{verb} the {noun}", "Please {verb} the {noun}", "Can you {verb} the {noun}",
            "I want to {verb} the {noun}", "{verb} {noun}", "Use {tool} to {verb} the {noun}",
            "Could you {verb} a {noun}")
_DE_PHRASES = ("Bitte {verb} {noun}", "{verb} {noun}", "Rufe {tool} auf", "Benutze {tool}")
_AR_PHRASES = ("استخدم {tool}", "من فضلك {verb} {noun}", "استدع {tool}")
_ARG_NAMES = listed("""
    id number name title city country date day amount price size color code user path file text
    topic level limit mode unit street owner category priority status tag key label room floor
    speed year month reason note team project""")
_LINKS = (" with {arg} {value}", " with {arg}={value}", ", {arg} {value}", ", {arg}: {value}",
          " with the {arg} {value}", " using {arg} {value}", " ({arg} {value})")
_DE_LINKS = (" mit {arg} {value}", ", {arg}: {value}", " mit {arg}={value}")
_AR_LINKS = ("، {arg}: {value}", " مع {arg} {value}", " {arg}={value}")
_LANGUAGES = {"en": ["German", "French", "Spanish", "English", "Arabic", "Italian"],
              "de": ["Deutsche", "Englische", "Französische", "Arabische"],
              "ar": ["الإنجليزية", "الألمانية", "الفرنسية"]}


def _value(rng: Random, lang: str, kind: str) -> Any:
    """A made-up argument of the given kind."""
    makers: dict[str, Any] = {
        "place": lambda: words.city(rng, lang),
        "int": lambda: rng.randint(0, 10 ** rng.randint(1, 4)),
        "name": lambda: (words.full_name if rng.random() < 0.5 else words.first_name)(rng, lang),
        "text": lambda: " ".join(words.noun(rng, lang) for _ in range(rng.randint(1, 4))),
        "quoted": lambda: words.sentence(rng, lang, rng.randint(1, 6)).rstrip(".!?؟"),
        "mail": lambda: words.email(rng), "date": lambda: words.date(rng, lang),
        "expr": lambda: f"{rng.randint(0, 999)}{rng.choice([' + ', ' * ', '*', '+', ' - ', '/'])}"
                        f"{rng.randint(0, 999)}",
        "cur": lambda: rng.choice(["EUR", "USD", "GBP", "CHF", "JPY", "AED", "EGP", "SEK"]),
        "lang": lambda: rng.choice(_LANGUAGES[lang]), "code": lambda: words.code(rng),
        "path": lambda: rng.choice(("", "/", "./", "/tmp/")) +  # noqa: S108 (text, no file)
        "/".join(
            words.pseudo_word(rng, "en") for _ in range(rng.randint(1, 3))
        ) + rng.choice((".txt", ".py", ".md", "", ".csv")),
        "proper": lambda: words.pseudo_word(rng, lang).capitalize(),
        "thing": lambda: words.noun(rng, lang),
        "sym": lambda: words.noise(rng, 3).upper(),
        "sql": lambda: (
            "SELECT " + words.pseudo_word(rng, "en")  # noqa: S608 (text, not a query)
            + " FROM " + words.noun(rng, "en")),
    }
    return makers[kind]()


def _shelf_entry(rng: Random, lang: str, row: str) -> Use:
    """A tool of the shelf with a request, its names varied."""
    names, args, description, requests = (part.strip() for part in row.split(";"))
    specs = [a.strip("{}").split(":") for a in args.split()]
    values = [_value(rng, lang, kind) for _, kind in specs]
    by_lang = dict(zip(words.LANGS, requests.split("|"), strict=True))
    request = rng.choice(by_lang[lang].split(" / ")).strip().format(*values)
    renamed = [_rename(rng, arg, kind) for arg, kind in specs]
    if len(set(renamed)) < len(renamed):
        renamed = [arg for arg, _ in specs]
    types = tuple((arg, "integer" if kind == "int" else "string")
                  for arg, (_, kind) in zip(renamed, specs, strict=True))
    tool = Tool(style(rng, rng.choice(names.split())), _describe(rng, description), types)
    return Use(tool, request, dict(zip(renamed, values, strict=True)))


def _rename(rng: Random, arg: str, kind: str) -> str:
    """Another name for an argument, so that names are read and not remembered."""
    others = {"place": "city location place town", "int": "n number value count",
              "text": "query q text search", "name": "name person user who",
              "date": "date day when", "path": "path file filename", "quoted": "text title"}
    if rng.random() < 0.3 and kind in others:
        return rng.choice(others[kind].split())
    return arg


def _describe(rng: Random, description: str) -> str:
    """The description, at times left out or lower-cased."""
    draw = rng.random()
    if draw < 0.15:
        return ""
    return description + "." if draw < 0.4 else description


def style(rng: Random, name: str) -> str:
    """The name in snake case most often, else camel, Pascal, kebab or with a prefix."""
    parts = name.split("_")
    draw = rng.random()
    if draw < 0.72:
        return name
    if draw < 0.82:
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    if draw < 0.86:
        return "".join(p.capitalize() for p in parts)
    if draw < 0.92:
        return "-".join(parts)
    return f"{words.pseudo_word(rng, 'en')}_{name}"


def _invented(rng: Random, lang: str) -> Use:
    """A tool that nobody has seen: verb and noun, arguments named in the request."""
    verb = words.pseudo_word(rng, "en") if rng.random() < 0.2 else rng.choice(_VERBS)
    noun = words.pseudo_word(rng, "en") if rng.random() < 0.4 else rng.choice(words.NOUNS["en"])
    name = style(rng, f"{verb}_{noun}")
    pool = [words.pseudo_word(rng, "en"), *rng.sample(_ARG_NAMES, 3)]
    chosen = rng.sample(pool, rng.choice((0, 1, 1, 1, 2, 2, 3)))
    phrases = {"en": _PHRASES, "de": _DE_PHRASES, "ar": _AR_PHRASES}[lang]
    links = {"en": _LINKS, "de": _DE_LINKS, "ar": _AR_LINKS}[lang]
    request = rng.choice(phrases).format(verb=verb, noun=noun, tool=name)
    arguments: dict[str, Any] = {}
    types: list[tuple[str, str]] = []
    for arg in chosen:
        kind = rng.choice(("int", "int", "code", "name", "thing", "proper", "date", "place"))
        value = _value(rng, lang, kind)
        types.append((arg, "integer" if kind == "int" else "string"))
        if rng.random() < 0.12:
            continue
        request += rng.choice(links).format(arg=arg.replace("_", " "), value=value)
        arguments[arg] = value
    missing = frozenset(a for a, _ in types if a not in arguments)
    given = frozenset(a for a in arguments if rng.random() < 0.15)
    request = request[0].upper() + request[1:] if rng.random() < 0.7 else request
    rng.shuffle(types)
    arguments = {arg: arguments[arg] for arg, _ in types if arg in arguments}
    description = rng.choice((f"{verb.capitalize()} a {noun}", f"{verb} the {noun}", "",
                              f"{verb.capitalize()}s one {noun} of the system"))
    return Use(Tool(name, description, tuple(types), missing | given), request, arguments)


def use(rng: Random, lang: str) -> Use:
    """A tool and a request for it: from the shelf or invented, half and half."""
    if rng.random() < 0.5:
        return _shelf_entry(rng, lang, rng.choice(_SHELF))
    return _invented(rng, lang)


def shelf(rng: Random, lang: str, amount: int) -> tuple[Use, ...]:
    """Several tools with one request each, no two sharing a shelf row or a name."""
    rows = rng.sample(_SHELF, amount)
    uses: dict[str, Use] = {}
    for row in rows:
        made = _shelf_entry(rng, lang, row) if rng.random() < 0.5 else _invented(rng, lang)
        uses.setdefault(made.tool.name, made)
    return tuple(uses.values())
