"""Who may come in, and what every answer says to the browser. Pure.

Laws
1. Nothing but a sentence is answered to a request whose Host is not this server: a name of somebody else's that was
   made to point here (DNS rebinding) would have the browser take his page for ours.
2. Nothing else is answered to who knows no token. The page is opened with it once, in its address; from then on the
   browser shows it as a cookie, which no script can read and which no request brings that another site has begun. The
   cookies of 127.0.0.1 are those of all its ports, so its name has the port.
3. A browser that says that another site asks (Sec-Fetch-Site, Origin) is believed, though it shows the cookie: other
   ports of this machine count as the same site. Only the page itself may be opened from elsewhere.
4. What changes something wants the cookie, and JSON, which no form of another site can send.
5. Secrets are compared in a time that does not tell how much of them is right.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

WHERE = (
    "the address with the token is printed by the program that was started with Pool(dashboard=True), or by procession "
    "top --web"
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer."""


@dataclass(frozen=True)
class Refused:
    """Answered with `status` and a sentence."""

    status: int
    text: str


@dataclass(frozen=True)
class Enter:
    """The token was in the address: hand over the cookie, and go on at the address without it. `directly`: by a
    redirect; else by a page, since on a way that began at another site the browser would not show the cookie."""

    cookie: str
    directly: bool


class Access:
    """Of one server."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token.encode()
        self._port = port
        self._name = f"procession-{port}"
        names = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}

    def judge(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Refused | Enter | None:
        """None: let it through. Names of headers are in small letters."""
        if headers.get("host", "").lower() not in self._hosts:
            return Refused(
                421, f"this server answers at 127.0.0.1:{self._port} only: by no other name, at no other port"
            )
        at_door = path == "/" and method in ("GET", "HEAD")
        said = parse_qs(query).get("token")
        if at_door and said:
            if self._is_token(said[0]):
                return self._enter(headers)
            return Refused(403, f"this token is not the one of this dashboard: {WHERE}")
        if self._foreign(headers) and not at_door:
            return Refused(403, "another site asks: only the dashboard's own page may")
        if any(self._is_token(each) for each in self._cookies(headers)):
            return self._fit(headers) if method == "POST" else None
        if path == "/metrics" and method in ("GET", "HEAD"):
            kind, _, bearer = headers.get("authorization", "").partition(" ")
            if (said and self._is_token(said[0])) or (kind.lower() == "bearer" and self._is_token(bearer.strip())):
                return None
        return Refused(403, f"who looks on must know the token: {WHERE}")

    def _fit(self, headers: Mapping[str, str]) -> Refused | None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return None if kind == "application/json" else Refused(415, "what is to be done is said as application/json")

    def _enter(self, headers: Mapping[str, str]) -> Enter:
        cookie = f"{self._name}={self._token.decode()}; HttpOnly; SameSite=Strict; Path=/"
        return Enter(cookie, headers.get("sec-fetch-site", "none") in ("none", "same-origin"))

    def _foreign(self, headers: Mapping[str, str]) -> bool:
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return True
        return headers.get("origin", "").lower() not in ("", *self._origins)

    def _cookies(self, headers: Mapping[str, str]) -> Iterator[str]:
        """Values of our name: another server of this machine can have the browser show one more."""
        for each in headers.get("cookie", "").split(";"):
            name, _, value = each.strip().partition("=")
            if name == self._name:
                yield value

    def _is_token(self, said: str) -> bool:
        return hmac.compare_digest(said.encode("utf-8", "surrogatepass"), self._token)


__all__ = ["HEADERS", "Access", "Enter", "Refused"]
