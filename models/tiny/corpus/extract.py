# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Skill ``extract``: read named fields out of a short text into one line of JSON.

Keys are those that the request names, in its order and spelling; a field that
the text does not hold is ``null``; ages, amounts and quantities are numbers.
"""

from __future__ import annotations

import json
from random import Random

from . import words
from .types import Example, single

_ASK: dict[str, list[str]] = {
    "en": [
        "Extract {f} as JSON: {t}",
        "Extract {f} as JSON from: {t}",
        "Extract the fields {f} from this text as JSON:\n{t}",
        "Return a JSON object with {f}: {t}",
    ],
    "de": [
        "Extrahiere {f} als JSON: {t}",
        "Lies {f} als JSON aus: {t}",
        "Extrahiere die Felder {f} als JSON aus diesem Text:\n{t}",
    ],
    "ar": [
        "استخرج {f} بصيغة JSON: {t}",
        "استخرج {f} بصيغة JSON من النص:\n{t}",
        "أعطني {f} بصيغة JSON: {t}",
    ],
}

_FIELD_NAMES: dict[str, dict[str, list[str]]] = {
    "en": {
        "name": ["name"],
        "age": ["age"],
        "city": ["city"],
        "date": ["date"],
        "amount": ["amount"],
        "email": ["email"],
        "phone": ["phone"],
        "product": ["product"],
        "quantity": ["quantity"],
        "order": ["order"],
        "company": ["company"],
        "currency": ["currency"],
    },
    "de": {
        "name": ["Name"],
        "age": ["Alter"],
        "city": ["Stadt"],
        "date": ["Datum"],
        "amount": ["Betrag"],
        "email": ["E-Mail"],
        "phone": ["Telefon"],
        "product": ["Produkt"],
        "quantity": ["Menge"],
        "order": ["Bestellnummer"],
        "company": ["Firma"],
        "currency": ["Währung"],
    },
    "ar": {
        "name": ["الاسم"],
        "age": ["العمر"],
        "city": ["المدينة"],
        "date": ["التاريخ"],
        "amount": ["المبلغ"],
        "email": ["البريد"],
        "phone": ["الهاتف"],
        "product": ["المنتج"],
        "quantity": ["الكمية"],
        "order": ["الطلب"],
        "company": ["الشركة"],
        "currency": ["العملة"],
    },
}

# One clause list per language; a text is made of some clauses with distinct fields.
_TEXTS: dict[str, list[str]] = {
    "en": [
        "{name} is {age} years old and lives in {city}.",
        "{name}, {age}, lives in {city}.",
        "My name is {name}, I am {age} and I live in {city}.",
        "{name} works at {company} in {city}.",
        "{name} ordered {quantity} {product} on {date}.",
        "{name} paid {amount} {currency}.",
        "{name} paid {amount} {currency} on {date}.",
        "Order {order} from {date}: {product}.",
        "Invoice {order}, {date}, total {amount} {currency}.",
        "Call {name} at {phone}.",
        "You can reach {name} at {email} or {phone}.",
        "Hello, I am {name} from {company}. My email is {email}.",
        "The meeting with {name} is on {date} in {city}.",
        "{name} turned {age} on {date}.",
    ],
    "de": [
        "{name} ist {age} Jahre alt und wohnt in {city}.",
        "{name}, {age}, aus {city}",
        "{name} ({age}) lebt in {city}.",
        "Ich heiße {name}, bin {age} und wohne in {city}.",
        "{name} arbeitet bei {company} in {city}.",
        "{name} zahlte {amount} {currency}.",
        "{name} bestellte am {date} {quantity} {product}.",
        "{name} hat am {date} {amount} {currency} bezahlt.",
        "Rechnung {order} vom {date}: {amount} {currency}.",
        "{name} ist unter {phone} oder {email} erreichbar.",
        "Bestellung {order}: {quantity} {product} für {amount} {currency}",
        "Am {date} zog {name} nach {city}.",
        "Das Treffen mit {name} ist am {date} in {city}.",
    ],
    "ar": [
        "{name} عمره {age} سنة ويسكن في {city}.",
        "اسمي {name} وعمري {age} وأسكن في {city}.",
        "{name}، {age}، من {city}",
        "يعمل {name} في {company} في {city}.",
        "دفع {name} {amount} {currency}.",
        "دفع {name} {amount} {currency} في {date}.",
        "طلب {name} {quantity} {product} في {date}.",
        "رقم هاتف {name} هو {phone}.",
        "بريد {name} هو {email}.",
        "الطلب {order} بتاريخ {date}: {amount} {currency}.",
    ],
}
_CURRENCIES = {
    "en": ["euros", "EUR", "dollars", "USD", "GBP"],
    "de": ["Euro", "EUR", "Franken"],
    "ar": ["دينار", "ريال", "درهم", "دولار"],
}
_COMPANIES = ["GmbH", "Inc", "Ltd", "AG", "Corp", "& Co"]


def _values(rng: Random, lang: str) -> dict[str, tuple[str, object]]:
    """For every field its text form and its JSON value."""
    age, quantity = rng.randint(1, 99), rng.randint(1, 60)
    number = rng.randint(1, 999)
    phone = "".join(str(rng.randint(0, 9)) for _ in range(6))
    company = f"{rng.choice(words.SURNAMES['en'])} {rng.choice(_COMPANIES)}"
    text = {
        "name": (words.full_name if rng.random() < 0.6 else words.first_name)(rng, lang),
        "city": words.city(rng, lang),
        "date": words.date(rng, lang),
        "email": words.email(rng),
        "phone": phone,
        "product": words.noun(rng, lang),
        "order": words.code(rng),
        "company": company,
        "currency": rng.choice(_CURRENCIES[lang]),
    }
    out: dict[str, tuple[str, object]] = {key: (shown, shown) for key, shown in text.items()}
    out["age"], out["quantity"] = (str(age), age), (str(quantity), quantity)
    out["amount"] = (str(number), number)
    return out


def make(rng: Random, lang: str) -> Example:
    """A text with two to five facts and the request for one to four of them."""
    values = _values(rng, lang)
    pattern = rng.choice(_TEXTS[lang])
    present = [field for field in values if "{" + field + "}" in pattern]
    text = pattern.format(**{field: shown for field, (shown, _) in values.items()})
    rng.shuffle(present)
    wanted = present[: rng.randint(1, min(3, len(present)))]
    if rng.random() < 0.08:
        absent = [field for field in values if field not in present]
        wanted.insert(rng.randint(0, len(wanted)), rng.choice(absent))
    result: dict[str, object] = {}
    for field in wanted:
        result[rng.choice(_FIELD_NAMES[lang][field])] = (
            values[field][1] if field in present else None
        )
    names = rng.choice((words.join_and(list(result), lang), ", ".join(result)))
    prompt = rng.choice(_ASK[lang]).format(f=names, t=text)
    return single("extract", lang, text, prompt, json.dumps(result, ensure_ascii=False))
