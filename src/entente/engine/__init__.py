"""The local model runtime: llama.cpp in a process of its own, kept alive.

The rest of the product reaches it over HTTP like any other provider; what lives
here is only its supervisor. `Runtime` starts the child, hands out the address and
key under which it serves, restarts it when it dies or hangs, and makes sure that it
is gone when the parent is.
"""

from entente.engine.model import builtin_model_path
from entente.engine.options import Endpoint, Phase, RuntimeOptions, RuntimeState
from entente.engine.runtime import Runtime

__all__ = [
    "Endpoint",
    "Phase",
    "Runtime",
    "RuntimeOptions",
    "RuntimeState",
    "builtin_model_path",
]
