"""What clients have the platform keep: completions, responses, conversations, files, batches.

Objects belong to a project. They are reached with a principal of that project only; for
everybody else they do not exist.
"""

from entente.objects.blobs import FOLDER_NAME, Blobs, Writing, open_blobs
from entente.objects.model import Item, Lineage, Link, Order, Page, StoredObject, Wanted
from entente.objects.store import OBJECTS_NAME, Objects, open_objects

__all__ = [
    "FOLDER_NAME",
    "OBJECTS_NAME",
    "Blobs",
    "Item",
    "Lineage",
    "Link",
    "Objects",
    "Order",
    "Page",
    "StoredObject",
    "Wanted",
    "Writing",
    "open_blobs",
    "open_objects",
]
