"""A stand-in for Azure OpenAI's classic surface: OpenAI's, with annotations of its filters."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.support.standins.openai import Body, OpenAI
from tests.support.standins.scenes import Asked, Scene
from tests.support.standins.standin import KEY, Refused, Request, sse

DEPLOYMENT: Final = "chat eu"
API_VERSION: Final = "2024-10-21"

_SAFE: Final = {
    kind: {"filtered": False, "severity": "safe"}
    for kind in ("hate", "self_harm", "sexual", "violence")
}


class Azure(OpenAI):
    """`POST /openai/deployments/{d}/chat/completions?api-version=`."""

    def read(self, request: Request) -> Asked:
        """Read a request; the path says which deployment, the body's model means nothing."""
        if request.headers.get("api-key") != KEY or "authorization" in request.headers:
            raise Refused(401, "Access denied due to invalid subscription key.")
        if request.path != f"/openai/deployments/{DEPLOYMENT}/chat/completions":
            raise Refused(404, "The API deployment for this resource does not exist.")
        if request.query != f"api-version={API_VERSION}":
            raise Refused(404, "Resource not found")
        return self._counting(request.read(Body))

    def events(self, scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
        """Write chunks behind the event that is only about the prompt."""
        first, end = super().events(scene, asked)
        empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        return [sse({**empty, **self.prompt_annotations()}), *first], end

    def error(self, status: int, message: str) -> bytes:
        """Write the body of an error: what is no fault of the request, in Azure's own form."""
        if status == 400:
            return super().error(status, message)
        code = {404: "DeploymentNotFound", 500: "InternalServerError"}.get(status, str(status))
        return msgspec.json.encode({"error": {"code": code, "message": message}})

    def annotations(self) -> dict[str, Any]:
        """Say that nothing was filtered in a choice."""
        return {"content_filter_results": _SAFE}

    def prompt_annotations(self) -> dict[str, Any]:
        """Say that nothing was filtered in the prompt."""
        return {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}
