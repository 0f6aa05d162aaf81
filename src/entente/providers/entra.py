"""Microsoft Entra ID: an access token for an application, by its client secret.

A token is kept and used until it expires. Ahead of that, at a moment that its lifetime alone
decides, it is asked for anew beside the requests that still use it; only who finds none that
is valid waits, and all who wait share one request. A refresh that fails leaves the old token
in use for as long as it is valid, and is tried again after `RETRY_S`.

Source: the client credentials grant of the Microsoft identity platform, version 2.0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from entente.domain.errors import (
    UpstreamBusy,
    UpstreamConnectError,
    UpstreamError,
    UpstreamRefused,
)
from entente.domain.secret import Secret
from entente.net import Client, Timeouts
from entente.providers.vendors import ENTRA_URL, azure_scope

RETRY_S: Final = 5.0
"""How long after a refresh that failed the next one is tried."""
AHEAD_S: Final = 300.0
"""How long before a token expires it is renewed; less where its lifetime is short."""
AHEAD_SHARE: Final = 0.25
"""The largest part of a token's lifetime that renewing ahead may take."""
LIFETIME_S_MAX: Final = 7 * 24 * 3600.0
ANSWER_BYTES_MAX: Final = 64 * 1024
TIMEOUTS: Final = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=10.0, total_s=15.0)

_HEADERS: Final = (
    b"content-type: application/x-www-form-urlencoded\r\n"
    b"accept: application/json\r\n"
    b"accept-encoding: identity\r\n"
    b"user-agent: entente\r\n"
)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_ERROR: Final = re.compile(r"[a-z_]{1,64}")
_NUMBER: Final = re.compile(r"AADSTS\d{1,10}")
_HTTP_OK: Final = 200
_TRY_AGAIN: Final = (408, 429)
_SERVER_ERROR: Final = 500


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """An application registered in a tenant, and what it wants access to."""

    tenant: str
    """Directory id, or a verified domain of it."""
    client_id: str
    client_secret: Secret
    scope: str = azure_scope(ENTRA_URL)


class _Token(msgspec.Struct, frozen=True):
    """A token with its moments on the clock of the source."""

    value: Secret
    asked_at_s: float
    renew_at_s: float
    expires_at_s: float


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - a kind of token


class _Denied(msgspec.Struct):
    error: str = ""
    error_description: str = ""


_granted_decoder = msgspec.json.Decoder(_Granted, strict=False)
_denied_decoder = msgspec.json.Decoder(_Denied)


class EntraTokens:
    """Gives the token of one application, asking for it as seldom as it may."""

    def __init__(
        self,
        provider: str,
        client: Client,
        credentials: ClientCredentials,
        *,
        now_s: Callable[[], float],
    ) -> None:
        """Ask the authority that `client` points to; `provider` stands in error messages.

        `now_s` is a clock that only goes forward, in seconds.
        """
        self._provider = provider
        self._client = client
        self._target = f"/{quote(credentials.tenant, safe='')}/oauth2/v2.0/token".encode()
        self._credentials = credentials
        self._now_s = now_s
        self._token: _Token | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._failed: UpstreamError | None = None
        self._retry_at_s = float("-inf")

    async def token(self) -> Secret:
        """Give a valid token.

        Raises UpstreamRefused when Entra does not grant one, UpstreamConnectError or
        UpstreamBusy when it cannot be asked: the provider itself has been sent nothing.
        """
        now_s = self._now_s()
        token = self._token
        if token is not None and now_s < token.renew_at_s:
            return token.value
        refresh = self._refresh
        if refresh is None and now_s >= self._retry_at_s:
            refresh = self._refresh = asyncio.get_running_loop().create_task(self._renew())
        if token is not None and now_s < token.expires_at_s:
            return token.value
        if refresh is not None:
            await asyncio.wait((refresh,))
            if not refresh.cancelled():
                refresh.result()
            token = self._token
        if self._failed is not None:
            raise type(self._failed)(self._failed.message)
        if token is None:
            message = f"The provider `{self._provider}` is being closed."
            raise UpstreamConnectError(message)
        return token.value

    def forget(self, token: Secret) -> None:
        """Do not use a token again that was not accepted, whatever its lifetime.

        One that is younger than `RETRY_S` is kept: another would not be accepted either.
        """
        kept = self._token
        if kept is not None and kept.value is token and self._now_s() >= kept.asked_at_s + RETRY_S:
            self._token = None

    async def aclose(self) -> None:
        """Stop asking and close the connections."""
        if self._refresh is not None:
            self._refresh.cancel()
        await self._client.aclose()

    async def _renew(self) -> None:
        """Ask for a token once and keep it, or else the reason why there is none."""
        try:
            self._token = await self._ask()
            self._failed = None
        except UpstreamError as error:
            self._failed = error
            self._retry_at_s = self._now_s() + RETRY_S
        finally:
            self._refresh = None

    async def _ask(self) -> _Token:
        """Send the request for a token and read its answer."""
        who = self._credentials
        form = {
            "grant_type": "client_credentials",
            "client_id": who.client_id,
            "client_secret": who.client_secret.reveal(),
            "scope": who.scope,
        }
        asked_at_s = self._now_s()
        try:
            answer = await self._client.request(
                b"POST", self._target, _HEADERS, urlencode(form).encode(), timeouts=TIMEOUTS
            )
            body = await answer.read(ANSWER_BYTES_MAX)
        except (UpstreamConnectError, UpstreamBusy):
            raise
        except UpstreamError as error:
            # Nothing has gone to the provider: to whoever accounts for it, that is all alike.
            raise self._unavailable(error.message) from None
        if answer.status != _HTTP_OK:
            raise self._denied(answer.status, body)
        return self._granted(body, asked_at_s)

    def _granted(self, body: bytes, asked_at_s: float) -> _Token:
        """Read a token; its life is counted from when it was asked for."""
        try:
            granted = _granted_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._unavailable("Its answer has no token.") from None
        is_bearer = granted.token_type.lower() == "bearer"
        if not is_bearer or granted.expires_in <= 0 or not _TOKEN.fullmatch(granted.access_token):
            raise self._unavailable("The token in its answer cannot be used.")
        lifetime_s = min(float(granted.expires_in), LIFETIME_S_MAX)
        expires_at_s = asked_at_s + lifetime_s
        ahead_s = min(AHEAD_S, lifetime_s * AHEAD_SHARE)
        value = Secret(granted.access_token)
        return _Token(value, asked_at_s, expires_at_s - ahead_s, expires_at_s)

    def _denied(self, status: int, body: bytes) -> UpstreamError:
        """Tell a refusal from a server that cannot answer now.

        Of what came only the error's name and number are shown: the rest may repeat what
        was sent.
        """
        if status >= _SERVER_ERROR or status in _TRY_AGAIN:
            return self._unavailable(f"It answered {status}.")
        try:
            denied = _denied_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            denied = _Denied()
        words = [denied.error] if _ERROR.fullmatch(denied.error) else []
        words += _NUMBER.findall(denied.error_description)[:1]
        reason = f" ({', '.join(words)})" if words else ""
        return UpstreamRefused(
            f"Entra ID answered {status}{reason} to the credentials that the gateway has for "
            f"the provider `{self._provider}`. An administrator must correct its tenant, client "
            "id, client secret or scope."
        )

    def _unavailable(self, reason: str) -> UpstreamConnectError:
        return UpstreamConnectError(
            f"Entra ID gave no token for the provider `{self._provider}`. {reason} "
            "The request was not sent."
        )
