# ruff: noqa: PLR2004 (shares and sizes of the mix stand where they are used)
"""Word lists in three languages and makers of invented words.

The lists are short and written for this recipe; invented words (made of random
syllables) keep the model from leaning on them: whatever it copies, it must be
able to copy words it has never seen.
"""

from __future__ import annotations

import string
from random import Random

from .types import listed

LANGS = ("en", "de", "ar")

NAMES: dict[str, list[str]] = {
    "en": listed("""
        Anna Ben Clara David Emma Frank Grace Henry Ivy Jack Kate Liam Mia Noah Olivia Peter
        Quinn Rose Sam Tina Umar Vera Will Zoe Alice Bob Carol Dan Ella Fred George Hannah Ian
        Julia Kevin Laura Mark Nina Oscar Paula Ruth Steve Tom Ursula Victor Wendy Maria John
        Sarah James Linda Robert Susan Paul Amy Chris Diana Eric Fiona Greg Helen"""),
    "de": listed("""
        Anna Bernd Clara Dieter Eva Franz Greta Hans Ilse Jonas Klara Lukas Marie Niklas Otto
        Petra Rolf Sabine Thomas Ulrike Volker Wiebke Jürgen Käthe Björn Sören Günter Heike
        Karin Lena Moritz Nele Paul Renate Stefan Tanja Uwe Vera Walter Felix Jana Katrin
        Michael Birgit Andreas Monika Emil Frieda Ole Hannes"""),
    "ar": listed("""
        أحمد محمد فاطمة ليلى عمر خالد سارة مريم يوسف حسن زينب علي نور كريم هدى سمير رنا طارق منى
        سلمى إبراهيم ياسمين وليد دينا رامي هالة ماجد نادية فهد عائشة بدر جميلة زياد لينا مازن
        أمل باسم سعاد"""),
}

SURNAMES: dict[str, list[str]] = {
    "en": listed("""
        Smith Miller Brown Taylor Wilson Clark Walker Young King Hill Green Baker Adams Carter
        Cooper Ward Brooks Gray Price Wood Stone Fisher Parker Reed Cole West"""),
    "de": listed("""
        Keller Weber Schulz Fischer Becker Hoffmann Koch Richter Wolf Schröder Neumann Schwarz
        Krüger Lange Vogel Winkler Lorenz Böhm Jung Roth Seidel Möller"""),
    "ar": listed("""
        الحداد النجار الخطيب المصري السيد منصور العلي حداد صالح الشامي القاسم عباس"""),
}

CITIES: dict[str, list[str]] = {
    "en": listed("""
        London Paris Berlin Rome Madrid Oslo Vienna Dublin Boston Chicago Toronto Sydney Tokyo
        Cairo Lisbon Athens Prague Warsaw Zurich Geneva Denver Seattle Austin Dallas Leeds
        Bristol Oxford York Helsinki Stockholm Munich Hamburg Lyon Milan Delhi Mumbai Seoul
        Beijing Dubai Nairobi Lagos Lima Quito Havana"""),
    "de": listed("""
        Berlin Hamburg München Köln Bremen Leipzig Dresden Stuttgart Essen Dortmund Bonn Kiel
        Lübeck Rostock Potsdam Erfurt Jena Kassel Mainz Trier Ulm Augsburg Würzburg Wien Graz
        Linz Salzburg Zürich Bern Basel Paris London Rom Prag Nürnberg Düsseldorf"""),
    "ar": listed("""
        القاهرة بغداد دمشق بيروت عمان الرياض جدة الدوحة دبي تونس الجزائر الرباط مسقط صنعاء
        الكويت طرابلس حلب البصرة برلين باريس لندن روما مدريد أسوان فاس مراكش"""),
}

NOUNS: dict[str, list[str]] = {
    "en": listed("""
        apple river table garden window bottle paper bridge train cloud stone pencil lamp chair
        flower mountain kitchen book door clock ship island forest camera guitar basket candle
        carpet engine ladder mirror needle orange pillow rocket saddle ticket umbrella valley
        wagon yard zebra button coffee desk eagle fence glass hammer ink jacket kettle lemon
        market nest ocean piano queen rabbit spoon tower violin wheel box cat dog egg fish goat
        hat key lion moon nut owl pen ring sun tree car bus cup plate shoe shirt bread butter
        cheese milk sugar salt pepper tea water wine snow rain wind fire earth library museum
        school hospital station airport office factory museum theatre bakery printer server
        router laptop phone scanner pump sensor motor battery report invoice contract manual
        policy project budget order parcel"""),
    "de": listed("""
        Apfel Fluss Tisch Garten Fenster Flasche Papier Brücke Zug Wolke Stein Bleistift Lampe
        Stuhl Blume Berg Küche Buch Tür Uhr Schiff Insel Wald Kamera Gitarre Korb Kerze Teppich
        Motor Leiter Spiegel Nadel Orange Kissen Rakete Sattel Karte Schirm Tal Wagen Hof Zebra
        Knopf Kaffee Adler Zaun Glas Hammer Tinte Jacke Kessel Zitrone Markt Nest Ozean Klavier
        Hase Löffel Turm Geige Rad Kiste Katze Hund Ei Fisch Ziege Hut Schlüssel Löwe Mond Nuss
        Eule Ring Sonne Baum Auto Bus Tasse Teller Schuh Hemd Brot Butter Käse Milch Zucker Salz
        Tee Wasser Schnee Regen Wind Feuer Erde Drucker Server"""),
    "ar": listed("""
        تفاحة نهر طاولة حديقة نافذة زجاجة ورقة جسر قطار سحابة حجر قلم مصباح كرسي زهرة جبل مطبخ
        كتاب باب ساعة سفينة جزيرة غابة كاميرا سلة شمعة سجادة محرك سلم مرآة إبرة برتقالة وسادة
        صاروخ تذكرة مظلة وادي عربة زر قهوة مكتب نسر سياج كأس مطرقة حبر سترة ليمون سوق عش محيط
        ملكة أرنب ملعقة برج صندوق قطة كلب بيضة سمكة قبعة مفتاح أسد قمر خاتم شمس شجرة سيارة حافلة
        صحن حذاء قميص خبز جبن حليب سكر ملح شاي ماء ثلج مطر ريح نار"""),
}

ADJECTIVES: dict[str, list[str]] = {
    "en": listed("""
        old new small big red blue green white black quiet warm cold heavy light fast slow round
        long short bright dark clean dry soft hard northern southern central main second"""),
    "de": listed("""
        alte neue kleine große rote blaue grüne weiße schwarze warme kalte schnelle"""),
    "ar": listed("""
        جديد قديم صغير كبير أحمر أزرق أخضر أبيض أسود بارد دافئ سريع هادئ"""),
}

FILLERS: dict[str, list[str]] = {
    "en": listed("""
        the a and of to in is was for on with as by at from it this that we they you can will
        have had not but or if when there more some time people way day work good first last
        great little own other right high different next early young important few public bad
        same able think know take see come want look use find give tell try ask need feel become
        leave put mean keep let begin help show hear play run move live believe hold bring
        happen write provide sit stand lose pay meet include continue set learn change lead
        understand watch follow stop create speak read spend grow open walk win offer remember
        love consider appear buy wait serve die send build stay fall cut reach kill remain
        suggest raise pass sell require decide about after also because before between both down
        each even every here how into just many most much never now only over please since still
        such than their them then these through under until very what where which while who why
        would your"""),
    "de": listed("""
        der die das und von zu in ist war für auf mit als bei aus es dies wir sie man kann wird
        haben hatte nicht aber oder wenn dort mehr einige Zeit Leute Weg Tag Arbeit gut erste
        letzte groß klein eigene andere recht hoch nächste früh jung wichtig wenige denken
        wissen nehmen sehen kommen wollen suchen finden geben sagen fragen brauchen fühlen
        werden lassen halten zeigen hören spielen laufen leben glauben bringen schreiben sitzen
        stehen zahlen treffen lernen ändern führen verstehen folgen sprechen lesen wachsen gehen
        gewinnen über nach auch weil vor zwischen beide jede hier wie viele nie jetzt nur bitte
        noch dann unter bis sehr was wo welche während wer warum würde"""),
    "ar": listed("""
        في من على إلى عن مع هذا هذه ذلك التي الذي كان كانت يكون هو هي نحن هم أنت كل بعض بعد قبل
        بين عند لكن أو إذا ثم حيث لأن كما قد لم لن لا ما كيف متى أين لماذا اليوم الوقت الناس
        العمل الطريق الحياة العالم الماء البيت المدينة جديد كبير صغير طويل كثير قليل أول آخر
        يعمل يكتب يقرأ يذهب يعرف يريد يرى يقول"""),
}

MONTHS: dict[str, list[str]] = {
    "en": listed("""
        January February March April May June July August September October November December"""),
    "de": listed("""
        Januar Februar März April Mai Juni Juli August September Oktober November Dezember"""),
    "ar": listed("""
        يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر"""),
}

DAYS: dict[str, list[str]] = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "de": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
    "ar": ["الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"],
}

AND = {"en": " and ", "de": " und ", "ar": " و"}
COMMA = {"en": ", ", "de": ", ", "ar": "، "}

_ONSETS = listed("""
    b b c d d f g h j k l l m m n n p r r s s t t v w z br ch cl dr fl gr kl pl pr qu sch sh sk
    st th tr x y""")
_NUCLEI = listed("""
    a a e e i i o o u u ai au ee ei ie oo ou y ä ö ü""")
_PLAIN_NUCLEI = 18
_CODAS = (
    "",
    "",
    "",
    "",
    "",
    *listed("""
    n r s t l m ck ng nd rt st x p d k th"""),
)
_AR_LETTERS = "ابتثجحخدذرزسشصضطظعغفقكلمنهويةأإىءئ"


def pseudo_word(rng: Random, lang: str) -> str:
    """An invented word of one to three syllables (Arabic: three to seven letters)."""
    if lang == "ar":
        return "".join(rng.choice(_AR_LETTERS) for _ in range(rng.randint(3, 7)))
    nuclei = _NUCLEI if lang == "de" else _NUCLEI[:_PLAIN_NUCLEI]
    return "".join(
        rng.choice(_ONSETS) + rng.choice(nuclei) + rng.choice(_CODAS)
        for _ in range(rng.choice((1, 2, 2, 2, 2, 3, 3)))
    )


def noise(rng: Random, length: int) -> str:
    """A random string of printable characters, as in keys and passwords."""
    alphabet = rng.choice(
        (
            string.ascii_lowercase,
            string.ascii_letters + string.digits,
            string.hexdigits,
            string.digits,
            string.ascii_uppercase,
            string.ascii_letters + string.digits + "-_.!?#$%&*+/=@",
        )
    )
    return "".join(rng.choice(alphabet) for _ in range(length))


def noun(rng: Random, lang: str) -> str:
    """A thing, now and then an invented one."""
    return pseudo_word(rng, lang) if rng.random() < 0.05 else rng.choice(NOUNS[lang])


def first_name(rng: Random, lang: str) -> str:
    """A first name, now and then an invented one."""
    if rng.random() < 0.05:
        return pseudo_word(rng, lang).capitalize()
    return rng.choice(NAMES[lang])


def full_name(rng: Random, lang: str) -> str:
    """A first name with a surname."""
    if rng.random() < 0.05:
        surname = pseudo_word(rng, lang).capitalize()
    else:
        surname = rng.choice(SURNAMES[lang])
    return f"{first_name(rng, lang)} {surname}"


def city(rng: Random, lang: str) -> str:
    """A town, now and then an invented one."""
    if rng.random() < 0.05:
        return pseudo_word(rng, lang).capitalize()
    return rng.choice(CITIES[lang])


def date(rng: Random, lang: str) -> str:
    """A date in one of the usual notations of the language."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1990, 2035)
    word = MONTHS[lang][month - 1]
    if lang == "en":
        long = f"{day} {word} {year}"
    elif lang == "de":
        long = f"{day}. {word} {year}"
    else:
        long = f"{day} {word} {year}"
    return long if rng.random() < 0.5 else f"{year}-{month:02d}-{day:02d}"


def code(rng: Random) -> str:
    """An identifier such as an order number."""
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 2)))
    digits = "".join(rng.choice(string.digits) for _ in range(rng.randint(2, 4)))
    return f"{letters}-{digits}"


def email(rng: Random) -> str:
    """A made-up mail address on a reserved example domain."""
    host = rng.choice(("example.com", "example.org"))
    return f"{rng.choice(NAMES['en']).lower()}@{host}"


def sentence(rng: Random, lang: str, words: int) -> str:
    """Word salad with a capital and a full stop: text that nobody can know."""
    picked = [
        noun(rng, lang)
        if rng.random() < 0.3
        else rng.choice(ADJECTIVES[lang])
        if rng.random() < 0.1
        else rng.choice(FILLERS[lang])
        for _ in range(words)
    ]
    if words > 6 and rng.random() < 0.5:
        picked[words // 2] += COMMA[lang].strip()
    text = " ".join(picked)
    end = rng.choice((".", ".", ".", "!", "?" if lang != "ar" else "؟"))
    return text[0].upper() + text[1:] + end


def paragraph(rng: Random, lang: str, sentences: int) -> str:
    """Several sentences of word salad."""
    return " ".join(sentence(rng, lang, rng.randint(3, 14)) for _ in range(sentences))


def join_and(items: list[str], lang: str) -> str:
    """``a, b and c`` in the given language."""
    if len(items) == 1:
        return items[0]
    return COMMA[lang].join(items[:-1]) + AND[lang] + items[-1]
