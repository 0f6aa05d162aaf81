"""A client that speaks Azure OpenAI's chat completions, on the classic surface."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from tests.support.clients.client import Seen, Wish, Wrong, events_of
from tests.support.clients.openai_chat import OpenAIChat

API_VERSION: Final = "2024-10-21"
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORMS: Final = (
    {"code", "message"},
    {"type", "code", "message"},
    {"message", "type", "param", "code"},
)
"""The members of an error, in the forms that Azure has."""
_RESULTS: Final = "content_filter_results"
_PROMPT: Final = "prompt_filter_results"


class AzureChat(OpenAIChat):
    """`POST /openai/deployments/{model}/chat/completions`."""

    name = "Azure chat"
    kinds: ClassVar = {400: "invalid_request_error", 500: ""}

    def path(self, model: str) -> str:
        """Name the model in the path."""
        deployment = quote(model, safe="")
        return f"/openai/deployments/{deployment}/chat/completions?api-version={API_VERSION}"

    def headers(self, key: str) -> dict[str, str]:
        """Show the key in Azure's header."""
        return {"api-key": key}

    def check_headers(self, headers: Mapping[str, str], request_id: str) -> None:
        """See that the request is named as Azure does, too."""
        super().check_headers(headers, request_id)
        guid = headers["apim-request-id"]
        assert _GUID.fullmatch(guid)
        assert guid.replace("-", "") == request_id.removeprefix("req_")

    def body(self, wish: Wish, model: str) -> dict[str, Any]:
        """Write a request, whose model means nothing."""
        return {**super().body(wish, model), "model": "whatever"}

    def read(self, body: bytes) -> Seen:
        """Read a completion, annotated in its prompt and in every choice."""
        value = json.loads(body)
        _check_prompt(value.pop(_PROMPT))
        for choice in value["choices"]:
            assert isinstance(choice.pop(_RESULTS), dict)
        return super().read(json.dumps(value).encode())

    def read_stream(self, body: bytes) -> Seen:
        """Read a stream behind its event about the prompt."""
        values = [value for _, value in events_of(body)]
        if isinstance(values[0], dict) and "error" not in values[0]:
            first = values.pop(0)
            _check_prompt(first.pop(_PROMPT))
            assert first == {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        for value in values:
            for choice in value.get("choices", ()) if isinstance(value, dict) else ():
                assert isinstance(choice.pop(_RESULTS), dict)
        plain = (value if isinstance(value, str) else json.dumps(value) for value in values)
        return super().read_stream("".join(f"data: {text}\n\n" for text in plain).encode())

    def _error(self, value: Any) -> Wrong:
        """Read an error in one of Azure's forms."""
        assert set(value) == {"error"}, value
        error = value["error"]
        assert set(error) in _FORMS, error
        return Wrong(error.get("type") or "", error["message"], error.get("param"))


def _check_prompt(results: Any) -> None:
    (result,) = results
    assert result["prompt_index"] == 0
    assert isinstance(result[_RESULTS], dict)
