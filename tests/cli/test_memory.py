"""What a server leaves free is taken again, not given back and made anew for each body."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

BODIES: Final = 30
ROUNDS: Final = 50
_PROGRAM: Final = f"""
import resource
from entente.host import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def bodies():
    return [b"x" * 100_000 for _ in range({BODIES})]

keep_freed_memory()
bodies()
before = faults()
for _ in range({ROUNDS}):
    bodies()
print(faults() - before)
"""
PAGES_OF_A_ROUND: Final = BODIES * 100_000 // 4096


def test_memory_of_bodies_is_taken_again() -> None:
    """Rounds after the first make hardly a page; each would make all of its own."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True)
    assert int(done.stdout) < PAGES_OF_A_ROUND
