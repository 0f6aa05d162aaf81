"""From the text of a document to its versions, or to everything that is wrong with it."""

from entente.agreement.load.book import Book, Version
from entente.agreement.load.facts import load_facts
from entente.agreement.load.includes import Source, Texts
from entente.agreement.load.loading import load
from entente.agreement.load.problems import AgreementProblems, Problem

__all__ = [
    "AgreementProblems",
    "Book",
    "Problem",
    "Source",
    "Texts",
    "Version",
    "load",
    "load_facts",
]
