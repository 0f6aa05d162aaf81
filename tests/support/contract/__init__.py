"""What answers have to look like: every body and event that a test gets is held against it.

The shapes are those of the vendors' own specifications. Where these lie beside the repository
they are read from there; else from `openai.json`, the same cut to names and types, which
`python -m tests.support.contract.slim` writes anew.
"""

from tests.support.contract.answers import defects_of
from tests.support.contract.schemas import Schema, defects, named

__all__ = ["Schema", "defects", "defects_of", "named"]
