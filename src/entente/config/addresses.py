"""What is wrong with an address that somebody has written, in words and never repeated."""

from __future__ import annotations

from urllib.parse import urlsplit

from entente.config.model import PROXY_DEFAULT


def url_defect(url: str) -> str | None:
    """Say what is wrong with an address, without repeating it: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        return f"this is not a URL ({error})"
    if parts.scheme not in {"http", "https"} or not host or " " in url:
        return 'the URL must look like "https://host/v1"'
    if parts.username is not None or parts.password is not None:
        return "the URL must not hold a user name or password"
    if parts.query or parts.fragment:
        return 'the URL must end with its path: remove what follows "?" or "#"'
    return None


def proxy_defect(proxy: str) -> str | None:
    """Say what is wrong with a `proxy` setting."""
    if proxy in {PROXY_DEFAULT, "none"}:
        return None
    wrong = url_defect(proxy)
    if wrong is None and not proxy.startswith("http://"):
        wrong = "only proxies reached by http:// are supported"
    if wrong is None:
        return None
    return (
        f'must be "env", "none" or a URL; {wrong}. A proxy that wants a password is set '
        'by HTTPS_PROXY in the environment and proxy = "env"'
    )
