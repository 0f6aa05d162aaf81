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
    "en": ["Extract {f} as JSON: {t}", "Extract {f} as JSON from: {t}",
           "Extract the fields {f} from this text as JSON:\n{t}", "Give me {f} as JSON: {t}",
           "{t}\n\nExtract {f} as JSON.", "Return a JSON object with {f}: {t}",
           "Extract the {f} from the following text and answer in JSON.\n\n{t}",
           "Text: {t}\nExtract {f} as JSON.", "Get {f} as JSON from this text: {t}"],
    "de": ["Extrahiere {f} als JSON: {t}", "Lies {f} als JSON aus: {t}",
           "Extrahiere die Felder {f} als JSON aus diesem Text:\n{t}",
           "{t}\n\nGib {f} als JSON aus.", "Gib mir {f} als JSON: {t}"],
    "ar": ["استخرج {f} بصيغة JSON: {t}", "استخرج {f} بصيغة JSON من النص:\n{t}",
           "{t}\n\nاستخرج {f} بصيغة JSON.", "أعطني {f} بصيغة JSON: {t}"],
}

_FIELD_NAMES: dict[str, dict[str, list[str]]] = {
    "en": {"name": ["name", "name", "customer", "person"], "age": ["age"],
           "city": ["city", "city", "place", "location"], "date": ["date"],
           "amount": ["amount", "amount", "price", "total"], "email": ["email", "mail"],
           "phone": ["phone", "phone_number"], "product": ["product", "item"],
           "quantity": ["quantity", "count"], "order": ["order", "order_number", "order_id"],
           "company": ["company", "employer"], "currency": ["currency"]},
    "de": {"name": ["Name", "name", "Kunde"], "age": ["Alter", "alter"],
           "city": ["Stadt", "stadt", "Ort"], "date": ["Datum", "datum"],
           "amount": ["Betrag", "betrag", "Preis"], "email": ["E-Mail", "email"],
           "phone": ["Telefon", "telefon"], "product": ["Produkt", "Artikel"],
           "quantity": ["Menge", "Anzahl"], "order": ["Bestellnummer", "bestellung"],
           "company": ["Firma", "firma"], "currency": ["Währung", "währung"]},
    "ar": {"name": ["الاسم", "name"], "age": ["العمر", "age"], "city": ["المدينة", "city"],
           "date": ["التاريخ", "date"], "amount": ["المبلغ", "amount"],
           "email": ["البريد", "email"], "phone": ["الهاتف", "phone"],
           "product": ["المنتج", "product"], "quantity": ["الكمية", "quantity"],
           "order": ["الطلب", "order"], "company": ["الشركة", "company"],
           "currency": ["العملة", "currency"]},
}

# One clause list per language; a text is made of some clauses with distinct fields.
_TEXTS: dict[str, list[str]] = {
    "en": ["{name} is {age} years old and lives in {city}.", "{name}, {age}, lives in {city}.",
           "{name} ({age}) from {city}", "My name is {name}, I am {age} and I live in {city}.",
           "{name} from {city} is {age}.", "{name} works at {company} in {city}.",
           "{name} ordered {quantity} {product} on {date}.", "{name} paid {amount} {currency}.",
           "{name} paid {amount} {currency} on {date}.", "Order {order} from {date}: {product}.",
           "Invoice {order}, {date}, total {amount} {currency}.", "Call {name} at {phone}.",
           "You can reach {name} at {email} or {phone}.",
           "{name} bought {product} in {city} on {date} for {amount} {currency}.",
           "On {date}, {name} moved to {city}.",
           "{name} <{email}>", "Hello, I am {name} from {company}. My email is {email}.",
           "{quantity} x {product}, {amount} {currency}, order {order}",
           "The meeting with {name} is on {date} in {city}.", "{name} turned {age} on {date}."],
    "de": ["{name} ist {age} Jahre alt und wohnt in {city}.", "{name}, {age}, aus {city}",
           "{name} ({age}) lebt in {city}.", "Ich heiße {name}, bin {age} und wohne in {city}.",
           "{name} arbeitet bei {company} in {city}.", "{name} zahlte {amount} {currency}.",
           "{name} bestellte am {date} {quantity} {product}.",
           "{name} hat am {date} {amount} {currency} bezahlt.",
           "Rechnung {order} vom {date}: {amount} {currency}.",
           "{name} ist unter {phone} oder {email} erreichbar.",
           "Bestellung {order}: {quantity} {product} für {amount} {currency}",
           "Am {date} zog {name} nach {city}.",
           "Das Treffen mit {name} ist am {date} in {city}."],
    "ar": ["{name} عمره {age} سنة ويسكن في {city}.", "اسمي {name} وعمري {age} وأسكن في {city}.",
           "{name}، {age}، من {city}", "يعمل {name} في {company} في {city}.",
           "دفع {name} {amount} {currency}.", "دفع {name} {amount} {currency} في {date}.",
           "طلب {name} {quantity} {product} في {date}.", "رقم هاتف {name} هو {phone}.",
           "بريد {name} هو {email}.", "الطلب {order} بتاريخ {date}: {amount} {currency}."],
}
_CURRENCIES = {"en": ["euros", "EUR", "dollars", "USD", "GBP"], "de": ["Euro", "EUR", "Franken"],
               "ar": ["دينار", "ريال", "درهم", "دولار"]}
_COMPANIES = ["GmbH", "Inc", "Ltd", "AG", "Corp", "& Co"]


def _values(rng: Random, lang: str) -> dict[str, tuple[str, object]]:
    """For every field its text form and its JSON value."""
    age, quantity = rng.randint(1, 99), rng.randint(1, 60)
    amount = rng.choice((str(rng.randint(1, 9999)),
                         f"{rng.randint(1, 999)}.{rng.randint(11, 99)}"))
    number = float(amount) if "." in amount else int(amount)
    if amount.endswith("0") and "." in amount:
        amount, number = str(age), age
    phone = "".join(str(rng.randint(0, 9)) for _ in range(rng.randint(5, 10)))
    phone = rng.choice((phone, f"+{rng.randint(1, 99)} {phone}", f"0{phone[:3]}-{phone[3:]}"))
    company = words.pseudo_word(rng, "en").capitalize()
    if rng.random() < 0.5:
        company += " " + rng.choice(_COMPANIES)
    text = {
        "name": (words.full_name if rng.random() < 0.6 else words.first_name)(rng, lang),
        "city": words.city(rng, lang), "date": words.date(rng, lang), "email": words.email(rng),
        "phone": phone, "product": words.noun(rng, lang), "order": words.code(rng),
        "company": company, "currency": rng.choice(_CURRENCIES[lang]),
    }
    out: dict[str, tuple[str, object]] = {key: (shown, shown) for key, shown in text.items()}
    out["age"], out["quantity"] = (str(age), age), (str(quantity), quantity)
    out["amount"] = (amount, number)
    return out


def make(rng: Random, lang: str) -> Example:
    """A text with two to five facts and the request for one to four of them."""
    values = _values(rng, lang)
    pattern = rng.choice(_TEXTS[lang])
    present = [field for field in values if "{" + field + "}" in pattern]
    text = pattern.format(**{field: shown for field, (shown, _) in values.items()})
    if rng.random() < 0.2:
        text += " " + words.sentence(rng, lang, rng.randint(3, 9))
    rng.shuffle(present)
    wanted = present[:rng.randint(1, len(present))]
    if rng.random() < 0.12:
        absent = [field for field in values if field not in present]
        wanted.insert(rng.randint(0, len(wanted)), rng.choice(absent))
    result: dict[str, object] = {}
    for field in wanted:
        result[rng.choice(_FIELD_NAMES[lang][field])] = (
            values[field][1] if field in present else None)
    names = rng.choice((words.join_and(list(result), lang), ", ".join(result)))
    prompt = rng.choice(_ASK[lang]).format(f=names, t=text)
    return single("extract", lang, text, prompt, json.dumps(result, ensure_ascii=False))
