"""What `entente serve` prints when it is up: lines that work when they are pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from entente.domain.secret import Secret

_TEXT: Final = """\
Entente serves {model} and everything else in your configuration at {url}/v1
{key}
Try it in a shell:

  curl -sN {url}/v1/chat/completions -H "Authorization: Bearer {shell_key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "{model}", "stream": true,
         "messages": [{{"role": "user", "content": "{prompt}"}}]}}'

or in Python (pip install openai):

  {imports}from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key={python_key})
  for chunk in client.chat.completions.create(
      model="{model}", stream=True, messages=[{{"role": "user", "content": "{prompt}"}}]
  ):
      print(chunk.choices[0].delta.content or "", end="", flush=True)
  print()

Stop with Ctrl-C. Keys: {program} keys create. Health of the installation: {program} doctor.
"""

PROMPT: Final = "Hello! Who are you?"


def called_as(argument: str, found: str | None) -> str:
    """Name the program as a shell finds it: `argument` began it, `found` is it on the PATH."""
    path = Path(argument)
    if path.name == "__main__.py":
        return "python -m entente"
    is_found = found is not None and Path(found).resolve() == path.resolve()
    return "entente" if is_found or path.name != "entente" else argument


def welcome(
    *, host: str, port: int, model: str, made: Secret | None, given: bool, program: str = "entente"
) -> str:
    """Write the lines.

    `made` is the first admin key if it was made now, `given` whether ENTENTE_ADMIN_KEY sets
    it; otherwise it was shown at an earlier start. `program` is what a shell calls us.
    """
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    if made is not None:
        key = f"\nAdmin key, shown this once: {made.reveal()}\n"
        shell_key, python_key = made.reveal(), f'"{made.reveal()}"'
    elif given:
        key = "\nThe admin key is what ENTENTE_ADMIN_KEY says.\n"
        shell_key, python_key = "$ENTENTE_ADMIN_KEY", 'os.environ["ENTENTE_ADMIN_KEY"]'
    else:
        key = (
            "\nThe admin key was shown at the first start. Set ENTENTE_API_KEY to it, or to a new\n"
            f"one: {program} keys create\n"
        )
        shell_key, python_key = "$ENTENTE_API_KEY", 'os.environ["ENTENTE_API_KEY"]'
    return _TEXT.format(
        url=url,
        model=model,
        key=key,
        shell_key=shell_key,
        python_key=python_key,
        prompt=PROMPT,
        imports="" if made is not None else "import os\n  ",
        program=program,
    )
