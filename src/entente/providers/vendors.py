"""What is known of vendors without asking them: where they are, which versions they have. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

OPENAI_HOST: Final = "api.openai.com"
ANTHROPIC_URL: Final = "https://api.anthropic.com"
ANTHROPIC_VERSION: Final = "2023-06-01"
GEMINI_URL: Final = "https://generativelanguage.googleapis.com/v1beta"
ENTRA_URL: Final = "https://login.microsoftonline.com"
"""Microsoft's public cloud; sovereign clouds and tests have another."""
_AZURE_AI_HOSTS: Final = {
    "login.microsoftonline.us": "cognitiveservices.azure.us",
    "login.partner.microsoftonline.cn": "cognitiveservices.azure.cn",
}

AZURE_V1_VERSIONS: Final = ("", "v1", "preview")
"""What `api-version` may be on Azure's v1 surface."""

_AZURE_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:-preview)?")


def is_openais(url: str) -> bool:
    """Tell whether an address is OpenAI's own, or one of its regions'."""
    host = urlsplit(url).hostname or ""
    return host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}")


def is_azure_version(text: str) -> bool:
    """Tell whether this is an `api-version`: a date means the classic surface."""
    return text in AZURE_V1_VERSIONS or _AZURE_DATED.fullmatch(text) is not None


def azure_scope(authority: str) -> str:
    """Give the scope of tokens for Azure OpenAI, on both of its surfaces, in a cloud."""
    host = _AZURE_AI_HOSTS.get(urlsplit(authority).hostname or "", "cognitiveservices.azure.com")
    return f"https://{host}/.default"


def bedrock_url(region: str) -> str:
    """Give the address of Bedrock in a region of AWS's public cloud."""
    return f"https://bedrock-runtime.{region}.amazonaws.com"
