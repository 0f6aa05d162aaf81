# ruff: noqa: E501 (a table of one entry per line)
"""The statements that the passages are made of, with the questions they answer.

Each entry reads ``group | kind of value | sentence | question / question …`` with
``{s}`` for the subject and ``{v}`` for the value.  Statements of one group can
answer one another's questions, so they never serve as each other's distractors.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A kind of statement: its sentence pattern and the questions it answers."""

    group: str
    kind: str
    sentence: str
    questions: tuple[str, ...]


def _parse(table: str) -> list[Fact]:
    """Read one language's table."""
    facts = []
    for line in table.strip().splitlines():
        group, kind, sentence, questions = (part.strip() for part in line.split("|"))
        facts.append(Fact(group, kind, sentence, tuple(q.strip() for q in questions.split("/"))))
    return facts


_EN = """
place | city | the {s} is located in {v}. | Where is the {s} located? / Where is the {s}? / In which city is the {s}?
open | hour | the {s} opens at {v} o'clock. | When does the {s} open? / What time does the {s} open?
close | hour | the {s} closes at {v} pm. | When does the {s} close? / What time does the {s} close?
price | num | the {s} costs {v} euros. | How much does the {s} cost? / What does the {s} cost? / What is the price of the {s}?
code | code | the code for the {s} is {v}. | What is the code for the {s}? / Which code does the {s} have?
founder | name | the {s} was founded by {v}. | Who founded the {s}? / By whom was the {s} founded?
founded | year | the {s} was founded in {v}. | When was the {s} founded? / In which year was the {s} founded?
owner | name | the {s} belongs to {v}. | Who owns the {s}? / To whom does the {s} belong?
meeting | day | the {s} meeting takes place on {v}. | When is the {s} meeting? / On which day does the {s} meeting take place?
weight | num | the {s} weighs {v} kilograms. | How heavy is the {s}? / How much does the {s} weigh?
made | thing | the {s} is made of {v}. | What is the {s} made of? / What material is the {s} made of?
lives | city | {s} lives in {v}. | Where does {s} live? / In which city does {s} live?
born | year | {s} was born in {v}. | When was {s} born? / In which year was {s} born?
likes | thing | {s} likes the {v}. | What does {s} like? / Which thing does {s} like?
start | date | the {s} starts on {v}. | When does the {s} start? / On what date does the {s} start?
"""

_DE = """
place | city | {s} befindet sich in {v}. | Wo befindet sich {s}? / Wo ist {s}?
open | hour | {s} öffnet um {v} Uhr. | Wann öffnet {s}? / Um wie viel Uhr öffnet {s}?
close | hour | {s} schließt um {v} Uhr. | Wann schließt {s}? / Um wie viel Uhr schließt {s}?
price | num | {s} kostet {v} Euro. | Was kostet {s}? / Wie viel kostet {s}?
code | code | der Code für {s} lautet {v}. | Wie lautet der Code für {s}? / Was ist der Code für {s}?
founder | name | {s} wurde von {v} gegründet. | Wer hat {s} gegründet? / Von wem wurde {s} gegründet?
founded | year | {s} wurde im Jahr {v} gegründet. | Wann wurde {s} gegründet? / In welchem Jahr wurde {s} gegründet?
owner | name | {s} gehört {v}. | Wem gehört {s}? / Wer besitzt {s}?
meeting | day | das Treffen zu {s} ist am {v}. | Wann ist das Treffen zu {s}? / An welchem Tag ist das Treffen zu {s}?
weight | num | {s} wiegt {v} Kilogramm. | Wie schwer ist {s}? / Wie viel wiegt {s}?
made | thing | {s} besteht aus {v}. | Woraus besteht {s}? / Aus welchem Material besteht {s}?
lives | city | {s} wohnt in {v}. | Wo wohnt {s}? / In welcher Stadt wohnt {s}?
born | year | {s} wurde {v} geboren. | Wann wurde {s} geboren? / In welchem Jahr wurde {s} geboren?
likes | thing | {s} mag {v}. | Was mag {s}? / Was hat {s} gern?
start | date | {s} beginnt am {v}. | Wann beginnt {s}? / An welchem Datum beginnt {s}?
"""

_AR = """
place | city | يقع {s} في {v}. | أين يقع {s}؟ / في أي مدينة يقع {s}؟
open | hour | يفتح {s} الساعة {v}. | متى يفتح {s}؟ / في أي ساعة يفتح {s}؟
close | hour | يغلق {s} الساعة {v}. | متى يغلق {s}؟ / في أي ساعة يغلق {s}؟
price | num | سعر {s} هو {v} دينار. | ما سعر {s}؟ / كم سعر {s}؟
code | code | رمز {s} هو {v}. | ما رمز {s}؟ / ما هو رمز {s}؟
founder | name | أسس {s} شخص اسمه {v}. | من أسس {s}؟ / من هو مؤسس {s}؟
founded | year | تأسس {s} عام {v}. | متى تأسس {s}؟ / في أي عام تأسس {s}؟
owner | name | مالك {s} هو {v}. | من مالك {s}؟ / من هو مالك {s}؟
meeting | day | اجتماع {s} يوم {v}. | متى اجتماع {s}؟ / في أي يوم اجتماع {s}؟
weight | num | وزن {s} هو {v} كيلوغرام. | ما وزن {s}؟ / كم وزن {s}؟
lives | city | يسكن {s} في {v}. | أين يسكن {s}؟ / في أي مدينة يسكن {s}؟
born | year | ولد {s} عام {v}. | متى ولد {s}؟ / في أي عام ولد {s}؟
likes | thing | يحب {s} {v}. | ماذا يحب {s}؟ / ما الذي يحبه {s}؟
start | date | يبدأ {s} في {v}. | متى يبدأ {s}؟ / في أي تاريخ يبدأ {s}؟
"""

FACTS: dict[str, list[Fact]] = {"en": _parse(_EN), "de": _parse(_DE), "ar": _parse(_AR)}
