"""The table: hostile requests by kind, and with which statuses each may be answered.

A row has a name, what is sent, and the statuses, if they are not those of its kind.

The first row of each kind is in `make test`. What every answer must fulfil in addition is
`Target.harmless`; what must be true after all of them is at the end of test_hostile_requests.py.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from h2.connection import H2Connection

from tests.e2e.hostile import (
    CLOSED,
    ELSEWHERE,
    ENDED,
    PAGE,
    REFUSED,
    SILENT,
    SOCKET,
    STRANGER,
    UNKNOWN,
    Send,
    Target,
    api,
    at,
    emit,
    exactly_over_http2,
    now,
    over_http2,
    over_socket,
    packet,
    raw,
    rows,
    token,
    with_token,
)
from tests.e2e.wire import Answer, WebSocket, frame2, http1

HOST, CLOSE = "Host: {host}", "Connection: close"
USERS = "/api/v1/users/"  # only administrators
SIGN_IN = "/api/v1/auths/signin"
OWNERS_CHAT = "/api/v1/chats/{chat}"
EXPORT = "/api/v1/configs/export"

PATHS = rows(
    "path",
    UNKNOWN,
    ("dots out of /static", at("/static/../../../../../etc/passwd")),
    ("encoded dots", at("/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd")),
    ("encoded slashes", at("/static/..%2f..%2f..%2f..%2fetc%2fpasswd")),
    ("dots encoded twice", at("/static/%252e%252e/%252e%252e/etc/passwd")),
    ("dots in overlong UTF-8", at("/static/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd")),
    ("backslashes", at("/static/..\\..\\..\\..\\etc\\passwd")),
    ("encoded backslashes", at("/static/..%5c..%5c..%5cetc%5cpasswd")),
    ("dots with parameters", at("/static/..;/..;/..;/etc/passwd")),
    ("dots out of /cache", at("/cache/..%2f..%2f..%2fdata%2fwebui.db")),
    ("the folder beside /cache", at("/cache/%2e%2e%2fcache_backup%2fx")),
    ("an absolute path in /cache", at("/cache//etc/passwd")),
    ("dots out of /pyodide", at("/pyodide/..%2f..%2fbackend%2fdata%2fwebui.db")),
    ("dots in the name of a file", at("/api/v1/files/..%2f..%2fwebui.db/content")),
    ("a null byte", at("/static/favicon.png%00.html")),
    ("a null byte, not encoded", at("/static/favicon.png\0.html"), ENDED),
    ("a tab", at("/api/v1/users/\t"), ENDED | STRANGER),
    ("a line end, encoded", at("/%0d%0aSet-Cookie:%20token=x")),
    ("a percent sign alone", at("/%"), ENDED),
    ("no hexadecimal digits", at("/%zz%u002e"), ENDED),
    ("no slash at its start", at("api/v1/users/"), ENDED),
    ("64 KiB", at("/" + "a" * 65_536), {414, CLOSED}),
    ("4,000 dots", at("/static/" + "../" * 4_000 + "etc/passwd"), ENDED | UNKNOWN),
    ("many slashes before an interface", at("////api////v1////users////"), STRANGER | UNKNOWN),
    ("dots before an interface", at("/static/%2e%2e/api/v1/users/"), STRANGER | UNKNOWN),
    ("an internal location of Nginx", at("/permission")),
    ("the session location of Nginx", at("/session")),
    ("the sign-in location of Nginx", at("/sign-in" + SIGN_IN, method="POST")),
    ("a named location of Nginx", at("/@unanswered")),
    ("the documentation of the interfaces", at("/openapi.json")),
    ("the files of a Git repository", at("/.git/config")),
    ("TRACE", at("/api/version", method="TRACE"), {405}),
    ("CONNECT", at("127.0.0.1:11434", method="CONNECT"), ENDED | {405}),
    ("a method that does not exist", at(USERS, method="LEAK"), {400, 401, 405}),
    ("another method by a header", at(USERS, "X-HTTP-Method-Override: DELETE"), STRANGER),
    ("another path by X-Original-URL", at("/", f"X-Original-URL: {EXPORT}"), {PAGE}),
    ("another path by X-Rewrite-URL", at("/", f"X-Rewrite-URL: {EXPORT}"), {PAGE}),
    ("a file that Nginx would send", at("/", "X-Accel-Redirect: /session"), {PAGE}),
)


def smuggled(*fields: str, body: str, method: str = "POST", path: str = "/api/version") -> Send:
    """Two requests in one; a server must not answer the second."""

    def send(target: Target) -> Answer:
        answer = raw(f"{method} {path} HTTP/1.1", HOST, *fields, body=body)(target)
        assert b"HTTP/1." not in answer.body, "the second request is answered"
        return answer

    return send


SECOND = "GET /health/db HTTP/1.1\r\nHost: {host}\r\nX: x"
CHUNKED = "Transfer-Encoding: chunked"
NONE = "0\r\n\r\n"


def _plain_to_https(target: Target) -> Answer:
    wrong = replace(target.server, http=target.server.https)
    return http1(wrong, target.fill("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").encode(), plain=True)


SMUGGLING = rows(
    "smuggling",
    ENDED,
    ("a length and chunks", smuggled("Content-Length: 6", CHUNKED, body=NONE + SECOND)),
    ("chunks and a length", smuggled(CHUNKED, "Content-Length: 6", body=NONE + SECOND)),
    ("two lengths", smuggled("Content-Length: 0", "Content-Length: 60", body=SECOND)),
    ("two equal lengths", smuggled("Content-Length: 5", "Content-Length: 5", body="x=123")),
    ("a list of lengths", smuggled("Content-Length: 0, 60", body=SECOND)),
    ("a negative length", smuggled("Content-Length: -1", body=SECOND)),
    ("a length with a sign", smuggled("Content-Length: +5", body="x=123")),
    ("a hexadecimal length", smuggled("Content-Length: 0x5", body="x=123")),
    ("a huge length", smuggled("Content-Length: 99999999999999999999", body="x"), ENDED | {413}),
    ("a space in the length", smuggled("Content-Length: 1 0", body="x=123")),
    ("chunks twice", smuggled(CHUNKED, CHUNKED, body=NONE + SECOND)),
    ("chunks of chunks", smuggled("Transfer-Encoding: chunked, chunked", body=NONE), ENDED | {501}),
    (
        "chunks, then identity",
        smuggled("Transfer-Encoding: chunked, identity", body=NONE),
        {400, 501},
    ),
    ("an unknown coding", smuggled("Transfer-Encoding: xchunked", body=NONE), ENDED | {501}),
    ("a tab before chunked", smuggled("Transfer-Encoding:\tchunked", body="x"), ENDED | {501}),
    ("a vertical tab", smuggled("Transfer-Encoding: \x0bchunked", body=NONE), ENDED | {501}),
    ("a space before the colon", smuggled("Transfer-Encoding : chunked", body=NONE)),
    ("a quoted coding", smuggled('Transfer-Encoding: "chunked"', body=NONE), ENDED | {501}),
    ("a folded line", smuggled("X: y", " Transfer-Encoding: chunked", body=NONE)),
    ("a coding in a folded line", smuggled("Transfer-Encoding:", " chunked", body=NONE)),
    ("a line feed alone", smuggled("X: y\nTransfer-Encoding: chunked", body="x")),
    ("a carriage return alone", smuggled("X: y\rTransfer-Encoding: chunked", body=NONE)),
    ("a null byte in a field", smuggled("X: y\0z", body="")),
    ("a field without a name", smuggled(": x", body="")),
    ("a field without a colon", smuggled("x", CLOSE, body=""), ENDED | {405}),
    ("HTTP/1.0 with chunks", raw(f"POST /api/version HTTP/1.0\r\n{HOST}", CHUNKED, body=NONE)),
    ("a size that is no number", smuggled(CHUNKED, body="xyz\r\nabc\r\n" + NONE)),
    ("a negative size", smuggled(CHUNKED, body="-1\r\nabc\r\n" + NONE)),
    (
        "a size that overflows",
        smuggled(CHUNKED, body="fffffffffffffffff\r\nabc\r\n"),
        ENDED | {413},
    ),
    ("a chunk longer than its size", smuggled(CHUNKED, body="3\r\nabcdef\r\n" + NONE)),
    (
        "a body of GET that is a request",
        smuggled(f"Content-Length: {len(SECOND)}", CLOSE, method="GET", body=SECOND),
        {200, 400},
    ),
    ("an upgrade to HTTP/2", raw("GET / HTTP/1.1", HOST, "Upgrade: h2c", CLOSE), {PAGE, 400}),
    ("HTTP/0.9", raw("GET /", body="")),
    ("HTTP/3.7", raw("GET / HTTP/3.7", HOST), ENDED | {505}),
    ("a second request line", raw("GET / HTTP/1.1\r\nGET /health HTTP/1.1", HOST)),
    ("plain HTTP on the port of HTTPS", _plain_to_https),
)


def flood(kind: int, payload: bytes, count: int = 200, flags: int = 0, stream: int = 0) -> Send:
    """Many equal frames after a request."""
    return over_http2(raw=frame2(kind, flags, stream, payload) * count)


def reset_streams(connection: H2Connection) -> None:
    """Start requests, and give each up at once."""
    usual = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")]
    for stream in range(1, 201, 2):
        connection.send_headers(stream, usual, end_stream=True)
        connection.reset_stream(stream)


# Refused, or answered as if the field were not there.
HTTP2 = rows(
    "http2",
    ENDED,
    ("a field that only HTTP/1.1 has", over_http2(("connection", "close")), {200, *ENDED}),
    (
        "chunks",
        over_http2((":method", "POST"), ("transfer-encoding", "chunked"), body=b"0\r\n\r\n"),
        ENDED | {405},
    ),
    ("an upgrade", over_http2(("upgrade", "h2c"), ("http2-settings", "AAMAAABk")), {200, *ENDED}),
    ("a host that is not the authority", over_http2(("host", ELSEWHERE)), ENDED | {421}),
    (
        "no authority, another host",
        exactly_over_http2(
            (":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", ELSEWHERE)
        ),
        ENDED | {421},
    ),
    (
        "no authority and no host",
        exactly_over_http2((":method", "GET"), (":scheme", "https"), (":path", "/")),
        ENDED | {421},
    ),
    (
        "no path",
        exactly_over_http2((":method", "GET"), (":scheme", "https"), (":authority", "{host}")),
    ),
    (
        "no method",
        exactly_over_http2((":path", "/"), (":scheme", "https"), (":authority", "{host}")),
    ),
    (
        "two paths",
        exactly_over_http2(
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "{host}"),
            (":path", "/"),
            (":path", EXPORT),
        ),
    ),
    ("a pseudo field after a field", over_http2(("x", "y"), (":path2", "/"))),
    ("a path without a slash", over_http2((":path", "api/version"))),
    ("a request in the path", over_http2((":path", "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /health"))),
    ("a request in the method", over_http2((":method", "GET /health HTTP/1.1\r\nX:"))),
    ("a line end in a field", over_http2(("x", "y\r\nTransfer-Encoding: chunked"))),
    ("a null byte in a field", over_http2(("x", "y\0z"))),
    ("a colon in a name", over_http2(("transfer-encoding: chunked\r\nx", "y")), {200, *ENDED}),
    ("capital letters", over_http2(("Transfer-Encoding", "chunked")), {200, *ENDED}),
    (
        "less than its length",
        over_http2((":method", "POST"), ("content-length", "60"), body=b"x"),
        ENDED | {405},
    ),
    (
        "more than its length",
        over_http2((":method", "POST"), ("content-length", "0"), body=SECOND.encode()),
        ENDED | {405},
    ),
    (
        "two lengths",
        over_http2(
            (":method", "POST"), ("content-length", "1"), ("content-length", "2"), body=b"x"
        ),
    ),
    (
        "CONNECT",
        exactly_over_http2((":method", "CONNECT"), (":authority", "127.0.0.1:11434")),
        ENDED | {405},
    ),
    (
        "WebSocket by CONNECT",
        over_http2((":method", "CONNECT"), (":protocol", "websocket")),
        ENDED | {405},
    ),
    ("another scheme", over_http2((":scheme", "file")), {200, *ENDED}),
    (
        "300 KiB of fields",
        over_http2(*((f"x{number}", "y" * 3_000) for number in range(100))),
        ENDED | {431},
    ),
    ("100 requests given up", over_http2(before=reset_streams), {200, CLOSED}),
    ("200 settings", flood(4, b""), {200, CLOSED}),
    ("200 pings", flood(6, b"12345678"), {200, CLOSED}),
    ("200 continuations of nothing", flood(9, b"", stream=1), {200, CLOSED}),
    ("200 priorities", flood(2, b"\0\0\0\0\0", stream=3), {200, CLOSED}),
    ("200 empty bodies", flood(0, b"", stream=1), {200, CLOSED}),
    ("data outside a stream", flood(0, b"x", count=1), {200, CLOSED}),
    ("a promise by the client", flood(5, b"\0\0\0\2", count=1, stream=1), {200, CLOSED}),
    ("a window of zero", flood(8, b"\0\0\0\0", count=1), {200, CLOSED}),
    ("a window that overflows", flood(8, b"\x7f\xff\xff\xff", count=2), {200, CLOSED}),
    ("a frame of an unknown kind", flood(99, b"x" * 1_000), {200, CLOSED}),
)

FOREIGN = {421, *ENDED}
HOSTS = rows(
    "host",
    FOREIGN,
    ("another host", raw("GET / HTTP/1.1", f"Host: {ELSEWHERE}", CLOSE)),
    ("two hosts", raw("GET / HTTP/1.1", HOST, f"Host: {ELSEWHERE}", CLOSE), ENDED),
    ("two hosts, the other first", raw("GET / HTTP/1.1", f"Host: {ELSEWHERE}", HOST, CLOSE), ENDED),
    ("no host", raw("GET / HTTP/1.1", CLOSE), ENDED),
    ("an empty host", raw("GET / HTTP/1.1", "Host:", CLOSE)),
    ("HTTP/1.0 without a host", raw("GET / HTTP/1.0")),
    ("localhost", raw("GET / HTTP/1.1", "Host: localhost", CLOSE)),
    ("the name of the container", raw("GET / HTTP/1.1", "Host: open-webui:8080", CLOSE)),
    (
        "the metadata address",
        raw("GET / HTTP/1.1", "Host: 169.254.169.254", CLOSE),
        FOREIGN | {301},
    ),
    ("another port", raw("GET / HTTP/1.1", "Host: {host}:11434", CLOSE), {PAGE, *FOREIGN}),
    (
        "a port that is a host",
        raw("GET / HTTP/1.1", f"Host: {{host}}:@{ELSEWHERE}", CLOSE),
        {PAGE, *FOREIGN},
    ),
    ("a user in the host", raw("GET / HTTP/1.1", f"Host: {{host}}@{ELSEWHERE}", CLOSE)),
    ("a path in the host", raw("GET / HTTP/1.1", "Host: {host}/api", CLOSE)),
    ("a space in the host", raw("GET / HTTP/1.1", f"Host: {{host}} {ELSEWHERE}", CLOSE)),
    ("a comma in the host", raw("GET / HTTP/1.1", f"Host: {{host}},{ELSEWHERE}", CLOSE)),
    ("a null byte in the host", raw("GET / HTTP/1.1", "Host: {host}\0x", CLOSE)),
    ("an encoded line end", raw("GET / HTTP/1.1", "Host: {host}%0d%0aX: y", CLOSE)),
    ("a bracket", raw("GET / HTTP/1.1", "Host: [::1]", CLOSE)),
    ("an absolute address", raw(f"GET https://{ELSEWHERE}/ HTTP/1.1", HOST, CLOSE)),
    (
        "an absolute address, another host",
        raw("GET https://{host}/ HTTP/1.1", f"Host: {ELSEWHERE}", CLOSE),
        {PAGE, *FOREIGN},
    ),
    (
        "an absolute address of Ollama",
        raw("GET http://10.89.0.1:11434/hostile HTTP/1.1", HOST, CLOSE),
        FOREIGN | {301},
    ),
    (
        "a file as address",
        raw("GET file:///etc/passwd HTTP/1.1", HOST, CLOSE),
        FOREIGN | {PAGE, 404},
    ),
    ("another name by TLS", raw("GET / HTTP/1.1", HOST, CLOSE, name=ELSEWHERE), {PAGE, *FOREIGN}),
    (
        "another host than by TLS",
        raw("GET / HTTP/1.1", f"Host: {ELSEWHERE}", CLOSE, name="chat.invalid"),
    ),
    (
        "a sign-in at another host",
        raw(
            f"POST {SIGN_IN} HTTP/1.1", f"Host: {ELSEWHERE}", "Content-Length: 2", CLOSE, body="{}"
        ),
    ),
    (
        "another host on port 80",
        raw("GET /x HTTP/1.1", f"Host: {ELSEWHERE}", CLOSE, plain=True),
        {301, *FOREIGN},
    ),
    (
        "a line end on port 80",
        raw("GET /%0d%0aX-Injected:%20y HTTP/1.1", HOST, CLOSE, plain=True),
        {301, 400},
    ),
    (
        "two slashes on port 80",
        raw(f"GET //{ELSEWHERE}/ HTTP/1.1", HOST, CLOSE, plain=True),
        {301, 400},
    ),
    ("two slashes", raw(f"GET //{ELSEWHERE}/%2e%2e HTTP/1.1", HOST, CLOSE), UNKNOWN | {307}),
    (
        "two slashes, a folder",
        raw(f"GET //{ELSEWHERE}/../static HTTP/1.1", HOST, CLOSE),
        UNKNOWN | {301, 307},
    ),
)


def claims(header: str, value: str = "{owner_email}", path: str = "/api/v1/auths/") -> Send:
    """A request without a session whose field claims to be the owner."""
    return lambda target: api("GET", path, headers={header: target.fill(value)})(target)


def guesses_from(header: str) -> Send:
    """Guess from another address, as if from the one where the user has signed in.

    That one has more guesses. The answer is the one to the sixth.
    """

    def send(target: Target) -> Answer:
        form = target.fill('{"email": "{user_email}", "password": "guessed"}')
        own = ("Content-Type: application/json", f"Content-Length: {len(form)}", CLOSE)
        fields = (HOST, f"{header}: 127.0.0.1", *own)
        request = "\r\n".join([f"POST {SIGN_IN} HTTP/1.1", *fields, "", form])
        for _ in range(6):
            answer = http1(target.server, target.fill(request).encode(), source="127.0.0.9")
        return answer

    return send


def sign_in(email: Any, password: Any, **how: Any) -> Send:
    return api("POST", SIGN_IN, {"email": email, "password": password}, **how)


FORWARDED = rows(
    "forwarded",
    STRANGER,
    ("an e-mail that a proxy would vouch for", claims("X-Auth-Email")),
    *(
        (f"the owner by {header}", claims(header), STRANGER)
        for header in (
            "X-Forwarded-Email",
            "X-Forwarded-User",
            "X-Forwarded-Preferred-Username",
            "X-Auth-Request-Email",
            "X-WebAuth-User",
            "X-User-Email",
            "X-OpenWebUI-User-Email",
            "X-OpenWebUI-User-Role",
            "Remote-User",
            "WEBUI_AUTH_TRUSTED_EMAIL_HEADER",
            "Cf-Access-Authenticated-User-Email",
            "X-MS-CLIENT-PRINCIPAL-NAME",
            "X-API-Key",
        )
    ),
    (
        "an e-mail in a sign-in without a password",
        api("POST", SIGN_IN, {"email": "", "password": ""}, headers={"X-Auth-Email": "a@b.c"}),
        {400, 401, 422},
    ),
    ("guesses from a known address by X-Forwarded-For", guesses_from("X-Forwarded-For"), {429}),
    ("guesses from a known address by X-Real-IP", guesses_from("X-Real-IP"), {429}),
    ("guesses from a known address by Forwarded", guesses_from("Forwarded"), {429}),
    ("the machine itself by X-Forwarded-For", claims("X-Forwarded-For", "127.0.0.1", USERS)),
    ("the machine itself by X-Real-IP", claims("X-Real-IP", "10.89.0.1", USERS)),
    ("another host by X-Forwarded-Host", at("/", f"X-Forwarded-Host: {ELSEWHERE}"), {PAGE}),
    (
        "a folder's redirect to another host",
        at("/static", f"X-Forwarded-Host: {ELSEWHERE}"),
        UNKNOWN | {307},
    ),
    (
        "another host by Forwarded",
        at("/static", f"Forwarded: host={ELSEWHERE};proto=http"),
        UNKNOWN | {307},
    ),
    ("plain HTTP by X-Forwarded-Proto", at("/static", "X-Forwarded-Proto: http"), UNKNOWN | {307}),
    ("another prefix", at("/manifest.json", "X-Forwarded-Prefix: //elsewhere.invalid"), {200}),
)


def guesses(email: str, *others: str, count: int = 6) -> Send:
    """Guess the password of one account, spelled in different ways; the answer is the last one."""

    def send(target: Target) -> Answer:
        spellings = [email, *others]
        for number in range(count):
            spelling = spellings[number % len(spellings)]
            answer = sign_in(spelling, f"guess-{number}")(target)
        return answer

    return send


def form(body: str, kind: str) -> Send:
    return api("POST", SIGN_IN, content=body, headers={"Content-Type": kind})


WRONG = {400, 401, 422}
PASSWORDS = rows(
    "password",
    WRONG,
    ("six guesses", guesses("guessed@example.invalid"), {429}),
    (
        "six guesses, in other letters",
        guesses("Case@example.invalid", "cASE@Example.INVALID"),
        {429},
    ),
    (
        "six guesses, one with the Kelvin sign",
        guesses("kim@example.invalid", "\u212aim@example.invalid"),
        {429},
    ),
    ("no account", sign_in("no-one@example.invalid", "password")),
    ("an empty password", sign_in("{user_email}", "")),
    ("the wildcard of SQL", sign_in("%", "%")),
    ("an injection into SQL", sign_in("' OR 1=1 --", "' OR '1'='1")),
    ("an object", sign_in({"$ne": ""}, {"$ne": ""})),
    ("a list", sign_in(["a@b.c", "{user_email}"], ["x"])),
    ("a number and null", sign_in(0, None)),
    ("a null byte", sign_in("null@example.invalid", "a\0b")),
    (
        "half a surrogate",
        form('{"email": "half@example.invalid", "password": "\\ud800"}', "application/json"),
    ),
    ("8 KiB", sign_in("long@example.invalid", "x" * 8_192)),
    ("more than 16 KiB", sign_in("longer@example.invalid", "x" * 20_000), {413}),
    ("a form", form("email=form@example.invalid&password=x", "application/x-www-form-urlencoded")),
    ("XML", form('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "text/xml")),
    (
        "the same name twice",
        form(
            '{"email": "a@example.invalid", "email": "b@example.invalid", "password": "x"}',
            "application/json",
        ),
    ),
    ("JSON of 8,000 levels", form("[" * 8_000 + "]" * 8_000, "application/json")),
    ("a prototype", form('{"__proto__": {"email": "a@b.c", "password": "x"}}', "application/json")),
    ("GET", api("GET", SIGN_IN), {405}),
    (
        "LDAP, which is off",
        api("POST", "/api/v1/auths/ldap", {"user": "*", "password": "*"}),
        WRONG | STRANGER,
    ),
    (
        "sign-up, which is closed",
        api(
            "POST",
            "/api/v1/auths/signup",
            {"email": "new@example.com", "name": "n", "password": "p" * 12, "role": "admin"},
        ),
        STRANGER,
    ),
    (
        "a second factor out of nothing",
        api("POST", "/api/v1/auths/mfa/verify", {"challenge": "x", "code": "000000"}),
        REFUSED,
    ),
    (
        "recovery out of nothing",
        api("POST", "/api/v1/auths/mfa/recover", {"challenge": "x", "code": "x"}),
        REFUSED,
    ),
    (
        "a token of another provider",
        api("POST", "/api/v1/auths/oauth/google/token/exchange", {"token": "x"}),
        REFUSED,
    ),
    (
        "the end of sessions by a provider",
        api("POST", "/oauth/backchannel-logout", data={"logout_token": "x"}),
        REFUSED,
    ),
)


def right_key(target: Target) -> bytes:
    return target.key


SIGNED_NOT = "bm90IHNpZ25lZA"


def _grafted(target: Target) -> str:
    text = target.sessions["owner"].rpartition(".")[0]
    return f"{text}.{target.sessions['user'].rpartition('.')[2]}"


TOKENS = rows(
    "token",
    STRANGER,
    ("alg none", with_token(token(header={"alg": "none"}, signature=""))),
    ("alg None", with_token(token(header={"alg": "None"}, signature=""))),
    ("alg NONE with a signature", with_token(token(header={"alg": "NONE"}, signature=SIGNED_NOT))),
    ("no alg", with_token(token(header={"alg": None}, signature=""))),
    ("an empty key", with_token(token(key=b""))),
    ("the key `secret`", with_token(token(key=b"secret"))),
    ("Open WebUI's former default key", with_token(token(key=b"t0p-s3cr3t"))),
    ("the key of null bytes", with_token(token(key=bytes(32)))),
    ("the key `None`", with_token(token(key=b"None"))),
    ("the certificate as key", with_token(token(key=lambda target: target.certificate))),
    ("the owner's id as key", with_token(token(key=lambda target: target.ids["owner"].encode()))),
    ("HS512, guessed", with_token(token(header={"alg": "HS512"}, key=b"secret"))),
    ("HS512 with the right key", with_token(token(header={"alg": "HS512"}, key=right_key))),
    ("RS256 without a key", with_token(token(header={"alg": "RS256"}, signature=SIGNED_NOT))),
    ("a kid that is a file", with_token(token(header={"kid": "../../../../dev/null"}, key=b""))),
    ("a kid that is SQL", with_token(token(header={"kid": "x' UNION SELECT '' --"}, key=b""))),
    (
        "its own key",
        with_token(token(header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, key=b"secret")),
    ),
    (
        "keys at an address",
        with_token(token(header={"jku": "http://169.254.169.254/keys"}, key=b"x")),
    ),
    ("critical extensions", with_token(token(header={"crit": ["x"], "x": 1}, key=right_key))),
    ("expired", with_token(token(key=right_key, exp=now() - 60))),
    ("not valid yet", with_token(token(key=right_key, nbf=now() + 24 * 3_600))),
    ("another session stamp", with_token(token(key=right_key, session_stamp="x"))),
    ("no session stamp", with_token(token(key=right_key, session_stamp=None))),
    ("another type", with_token(token(key=right_key, typ="password"))),
    ("no user", with_token(token(key=right_key, id=None))),
    ("a user that does not exist", with_token(token(key=right_key, id="x"))),
    ("a list of users", with_token(token(key=right_key, id=["x"]))),
    ("the owner's, with the user's signature", with_token(_grafted)),
    (
        "the owner's without a signature",
        with_token(lambda target: target.sessions["owner"].rpartition(".")[0] + "."),
    ),
    ("the owner's, cut off", with_token(lambda target: target.sessions["owner"][:-3])),
    ("an API key", with_token(lambda target: "sk-" + "0" * 32)),
    ("20 KiB", with_token(lambda target: "a." * 10_000), {401, 403}),
    ("the user's own", with_token(lambda target: target.sessions["user"]), STRANGER | {404}),
    ("in the address", api("GET", OWNERS_CHAT + "?token={owner_token}&access_token={owner_token}")),
    ("by Basic", api("GET", OWNERS_CHAT, headers={"Authorization": "Basic YWRtaW46YWRtaW4="})),
    (
        "alg none in a cookie",
        lambda target: api(
            "GET",
            OWNERS_CHAT,
            headers={"Cookie": "token=" + token(header={"alg": "none"}, signature="")(target)},
        )(target),
    ),
    (
        "alg none at /api/config",
        with_token(token(header={"alg": "none"}, signature=""), "/api/config"),
        {200},
    ),
)


# What anyone may ask for: before a user signs in, or with a proof of its own.
PUBLIC = {
    "/api/changelog",
    "/api/config",
    "/api/version",
    "/health",
    "/health/db",
    "/manifest.json",
    "/opensearch.xml",
    "/ready",
    "/ollama/",
    "/api/v1/auths/ldap",
    "/api/v1/auths/mfa/challenge",
    "/api/v1/auths/mfa/enroll/confirm",
    "/api/v1/auths/mfa/enroll/start",
    "/api/v1/auths/mfa/recover",
    "/api/v1/auths/mfa/verify",
    "/api/v1/auths/oauth/{provider}/token/exchange",
    "/api/v1/auths/signin",
    "/api/v1/auths/signout",
    "/api/v1/auths/signup",
    "/api/v1/channels/webhooks/{webhook_id}/{token}",
    "/api/v1/chats/share/{share_id}",
    "/oauth/backchannel-logout",
    "/oauth/clients/{client_id}/callback",
    "/oauth/{provider}/callback",
    "/oauth/{provider}/login",
    "/oauth/{provider}/login/callback",
}
# Whether a session brings permission is not the point here: no interface answers without one.
ALL, ADMINISTRATORS = "get_current_user", "get_admin_user"
GROUPS = (
    "/api/v1/analytics",
    "/api/v1/apps",
    "/api/v1/audio",
    "/api/v1/auths",
    "/api/v1/automations",
    "/api/v1/calendars",
    "/api/v1/channels",
    "/api/v1/chats",
    "/api/v1/configs",
    "/api/v1/evaluations",
    "/api/v1/files",
    "/api/v1/folders",
    "/api/v1/functions",
    "/api/v1/groups",
    "/api/v1/images",
    "/api/v1/knowledge",
    "/api/v1/memories",
    "/api/v1/models",
    "/api/v1/notes",
    "/api/v1/notifications",
    "/api/v1/pipelines",
    "/api/v1/prompts",
    "/api/v1/retrieval",
    "/api/v1/search",
    "/api/v1/skills",
    "/api/v1/tasks",
    "/api/v1/terminals",
    "/api/v1/tools",
    "/api/v1/users",
    "/api/v1/utils",
    "/ollama",
    "/openai",
    "",  # all others
)


def group_of(path: str) -> str:
    return next(group for group in GROUPS if f"{path}/".startswith(f"{group}/"))


def every(group: str, guard: str, session: str, allowed: set[int]) -> Send:
    """Every interface of the group that has the guard; the answer is the first not allowed one."""

    def send(target: Target) -> Answer:
        answer = Answer(min(allowed))
        for method, path, guards in target.interfaces():
            if path in PUBLIC or group_of(path) != group or guard not in guards:
                continue
            answer = api(method, owners(path), {}, as_user=session)(target)
            target.harmless(answer)
            assert answer.status in allowed, f"{method} {path}: {answer.status}"
        return answer

    return send


def owners(path: str) -> str:
    """The path with the ids of the owner's things in the places of its parameters."""
    found = path.replace("{user_id}", "{owner}").replace("{note_id}", "{note}")
    for group, thing in (("files", "file"), ("notes", "note"), ("groups", "group")):
        if path.startswith(f"/api/v1/{group}/"):
            found = found.replace("{id}", f"{{{thing}}}")
    known = {"{owner}", "{file}", "{note}", "{group}"}
    return re.sub(
        r"{\w+(:path)?}", lambda match: match[0] if match[0] in known else "{chat}", found
    )


def unguarded(target: Target) -> Answer:
    """Every interface that asks for no session is in the list of public ones, and no other."""
    without = {path for _, path, guards in target.interfaces() if ALL not in guards}
    assert without - PUBLIC == set(), "an interface asks for no session"
    return Answer(200)


# 400 and more: what the user may ask for, but has not. No answer has what only the owner may read.
ANYTHING = {*range(200, 600), PAGE}
INTERFACES = rows(
    "interface",
    STRANGER,
    ("the configuration without a session", api("GET", EXPORT)),
    ("the configuration by a user", api("GET", EXPORT, as_user="user")),
    ("the database by a user", api("GET", "/api/v1/utils/db/download", as_user="user")),
    ("all that ask for no session", unguarded, {200}),
    *(
        (
            f"all of {group or 'the others'} without a session",
            every(group, ALL, "", STRANGER),
            STRANGER,
        )
        for group in GROUPS
    ),
    *(
        (
            f"administrators' of {group or 'the others'} by a user",
            every(group, ADMINISTRATORS, "user", STRANGER),
            STRANGER,
        )
        for group in GROUPS
    ),
    *(
        (
            f"the owner's things in {group or 'the others'}",
            every(group, "get_verified_user", "trusted", ANYTHING),
            ANYTHING,
        )
        for group in GROUPS
    ),
)


def page(url: str, how: str = "url") -> Send:
    """Have Open WebUI read a page of the web, as the user with every permission."""
    return api("POST", f"/api/v1/retrieval/process/{how}", {"url": url}, as_user="trusted")


def chat(*content: Any, path: str = "/api/chat/completions", **fields: Any) -> Send:
    """A question with one token of answer."""
    question = {
        "model": "{model}",
        "messages": [{"role": "user", "content": list(content) or "Hello"}],
        "stream": False,
        "max_tokens": 1,
        **fields,
    }
    return api("POST", path, question, as_user="trusted")


def trusted(method: str, path: str, body: Any = None, **how: Any) -> Send:
    return api(method, path, body, as_user="trusted", **how)


METADATA = "http://169.254.169.254/metadata/instance?api-version=2021-02-01"
OLLAMA = "http://10.89.0.1:11434/hostile"
ADDRESSES = (
    METADATA,
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://\u2460\u2465\u2468.254.169.254/",
    "http://169\u3002254\u3002169\u3002254/",
    "http://%31%36%39.254.169.254/",
    "http://169.254.169.254./",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://168.63.129.16/?comp=versions",
    "http://168.63.129.16:32526/vmSettings",
    OLLAMA,
    "http://10.89.0.10:11434/hostile",
    "http://nginx:11434/hostile",
    "http://host.containers.internal:11434/hostile",
    "http://HOST.containers.INTERNAL:11434/hostile",
    "http://open-webui:8080/api/v1/configs/export",
    "http://nginx/",
    "http://localhost:8080/api/version",
    "http://127.0.0.1:8080/api/version",
    "http://127.1:8080/api/version",
    "http://0:8080/api/version",
    "http://0.0.0.0:8080/api/version",
    "http://[::1]:8080/api/version",
    "http://[::]:8080/api/version",
    "https://{host}/api/version",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://user@169.254.169.254/",
    "http://nowhere.invalid@169.254.169.254/",
    "http://169.254.169.254#nowhere.invalid",
    "http://169.254.169.254?nowhere.invalid",
    "http://nowhere.invalid\\@169.254.169.254/",
    "http://nowhere.invalid:80\t@169.254.169.254/",
    "http://169.254.169.254\r\nHost: nowhere.invalid/",
    "http://169.254.169.254/nowhere.invalid",
    "https://www.youtube.com@169.254.169.254/watch?v=x",
    "//169.254.169.254/",
    "http:169.254.169.254/",
    "http:///169.254.169.254/",
    "hTTp://169.254.169.254/",
    "file:///etc/passwd",
    "file://localhost/app/backend/data/webui.db",
    "ftp://169.254.169.254/",
    "gopher://10.89.0.1:11434/_DELETE%20/api/delete",
    "dict://10.89.0.1:11434/",
    "data:text/plain,hello",
    "jar:http://169.254.169.254!/",
    "",
    "http://" + "a" * 5_000 + "/",
)
NOT_READ = {400, 403, 422}


def picture(url: str) -> Send:
    """Set a picture, and have it shown: at most the browser is sent there, never Open WebUI."""

    def send(target: Target) -> Answer:
        profile = {"name": "Trusted", "profile_image_url": url}
        return trusted("POST", "/api/v1/auths/update/profile", profile)(target)

    return send


FETCHES = rows(
    "fetch",
    NOT_READ,
    ("a page at the metadata address", page(METADATA)),
    *((f"a page at {url[:60]!r}", page(url), NOT_READ) for url in ADDRESSES[1:]),
    *(
        (f"{what} at {url}", send(url), *allowed)
        for url in (METADATA, OLLAMA)
        for what, send, *allowed in (
            ("a page", lambda url: page(url, "web")),
            ("a film", lambda url: page(url, "youtube")),
            (
                "a search",
                lambda url: trusted(
                    "POST", "/api/v1/retrieval/process/web/search", {"queries": [url]}
                ),
                REFUSED,
            ),
            (
                "a file of a chat",
                lambda url: chat(files=[{"type": "url", "url": url, "name": "x"}]),
                {200, 400},
            ),
            (
                "a collection of a chat",
                lambda url: chat(
                    files=[
                        {"type": "web_search", "urls": [url], "docs": [], "collection_name": url}
                    ]
                ),
                {200, 400},
            ),
            (
                "an image of a chat",
                lambda url: chat({"type": "image_url", "image_url": {"url": url}}),
                {200, 400},
            ),
            (
                "a sound of a chat",
                lambda url: chat({"type": "input_audio", "input_audio": {"url": url}}),
                {200, 400, 422},
            ),
            (
                "a file of a message",
                lambda url: chat({"type": "file", "file": {"file_data": url}}),
                {200, 400},
            ),
            (
                "a direct connection",
                lambda url: chat(direct=True, model_item={"id": "x", "direct": True, "url": url}),
                {200, 400, 404},
            ),
            (
                "a tool server of a chat",
                lambda url: chat(
                    tool_servers=[{"url": url, "specs": []}], tool_ids=["server:" + url]
                ),
                {200, 400},
            ),
            (
                "an image for Anthropic's interface",
                lambda url: chat(
                    {"type": "image", "source": {"type": "url", "url": url}},
                    path="/api/v1/messages",
                ),
                {200, 400, 404},
            ),
            (
                "an image for Ollama",
                lambda url: trusted(
                    "POST",
                    "/ollama/api/chat",
                    {
                        "model": "{model}",
                        "messages": [{"role": "user", "content": "x", "images": [url]}],
                        "stream": False,
                    },
                ),
                {200, 400, 422, 500},
            ),
            (
                "a model from a registry",
                lambda url: trusted("POST", "/ollama/api/pull", {"model": url, "insecure": True}),
                STRANGER,
            ),
            (
                "another Ollama",
                lambda url: trusted("POST", "/ollama/verify", {"url": url, "key": ""}),
                STRANGER,
            ),
            (
                "another OpenAI",
                lambda url: trusted("POST", "/openai/verify", {"url": url, "key": ""}),
                STRANGER,
            ),
            (
                "a path of OpenAI",
                lambda url: trusted("POST", f"/openai/{url}", {}),
                REFUSED | {500, 501, 503},
            ),
            (
                "an edited image",
                lambda url: trusted("POST", "/api/v1/images/edit", {"image": url, "prompt": "x"}),
                REFUSED,
            ),
            (
                "a tool",
                lambda url: trusted("POST", "/api/v1/tools/load/url", {"url": url}),
                STRANGER,
            ),
            (
                "a tool server",
                lambda url: trusted(
                    "POST",
                    "/api/v1/configs/tool_servers/verify",
                    {"url": url, "path": "", "config": {}},
                ),
                STRANGER,
            ),
            (
                "a function",
                lambda url: trusted("POST", "/api/v1/functions/load/url", {"url": url}),
                STRANGER,
            ),
            (
                "a skill",
                lambda url: trusted("POST", "/api/v1/skills/load/url", {"url": url}),
                STRANGER,
            ),
            (
                "a pipeline",
                lambda url: trusted("POST", "/api/v1/pipelines/add", {"url": url, "urlIdx": 0}),
                STRANGER,
            ),
            (
                "a terminal",
                lambda url: trusted("GET", f"/api/v1/terminals/{url}/x"),
                REFUSED | {PAGE},
            ),
            (
                "a terminal server",
                lambda url: trusted(
                    "POST", "/api/v1/configs/terminal_servers/verify", {"url": url}
                ),
                STRANGER,
            ),
            (
                "an app",
                lambda url: trusted("POST", "/api/v1/apps/manifest/preview", {"url": url}),
                STRANGER,
            ),
            (
                "a notification",
                lambda url: trusted(
                    "POST",
                    "/api/v1/notifications/targets",
                    {"type": "webhook", "config": {"url": url}},
                ),
                REFUSED,
            ),
            (
                "a user's webhook",
                lambda url: trusted(
                    "POST",
                    "/api/v1/users/user/settings/update",
                    {"ui": {"notifications": {"webhook_url": url}}},
                ),
                {200},
            ),
            (
                "the operator's webhook",
                lambda url: trusted("POST", "/api/events/webhooks", {"url": url}),
                STRANGER,
            ),
            (
                "knowledge of others",
                lambda url: trusted(
                    "POST", "/api/v1/knowledge/external/connections", {"name": "x", "url": url}
                ),
                STRANGER,
            ),
            (
                "a voice",
                lambda url: trusted("POST", "/api/v1/audio/speech", {"input": "x", "voice": url}),
                REFUSED,
            ),
            (
                "a recording",
                lambda url: trusted("POST", "/api/v1/audio/transcriptions", {"url": url}),
                REFUSED,
            ),
            ("a picture of the user", picture, {200}),
            (
                "an identity provider",
                lambda url: trusted("GET", f"/oauth/clients/mcp:{url}/authorize"),
                REFUSED | {PAGE},
            ),
            (
                "the picture of an e-mail",
                lambda url: trusted("GET", f"/api/v1/utils/gravatar?email={url}"),
                {200},
            ),
            (
                "code",
                lambda url: trusted(
                    "POST",
                    "/api/v1/utils/code/execute",
                    {"code": f"import urllib.request as r; r.urlopen({url!r})"},
                ),
                REFUSED,
            ),
            (
                "an automation",
                lambda url: trusted(
                    "POST", "/api/v1/automations/create", {"name": "x", "data": {"url": url}}
                ),
                REFUSED,
            ),
        )
    ),
    (
        "an Ollama by a number that is none",
        trusted("GET", "/ollama/api/tags/http:%2f%2f169.254.169.254"),
        UNKNOWN | {422},
    ),
    ("an Ollama by a number too many", trusted("GET", "/ollama/api/tags/99"), REFUSED | {500}),
    ("an Ollama by a number below zero", trusted("GET", "/ollama/api/version/-2"), REFUSED | {500}),
)

SCRIPT = b"<script>document.title = document.cookie</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>"


def upload(
    name: str, content: bytes = b"hello", kind: str = "text/plain", query: str = "?process=false"
) -> Send:
    """Upload a file, then have it shown in each way there is.

    The answer is the one to the upload, unless a browser would run what it is shown.
    """

    def send(target: Target) -> Answer:
        path = f"/api/v1/files/{query}"
        answer = trusted("POST", path, files={"file": (name, content, kind)})(target)
        if answer.status == 200:
            file = json.loads(answer.body)["id"]
            for view in ("content", "content/x.html", "content/html", "data/content"):
                shown = trusted("GET", f"/api/v1/files/{file}/{view}")(target)
                target.harmless(shown)
                check_shown(shown)
        return answer

    return send


def check_shown(answer: Answer) -> None:
    """Check that a browser shows the answer as text, saves it, or shows an error of the chat."""
    if answer.status != 200:
        return
    kind = answer.headers.get("content-type", "").partition(";")[0]
    saved = answer.headers.get("content-disposition", "").startswith("attachment")
    shown = ("text/plain", "application/json", "application/pdf", "image/png", "image/jpeg")
    assert saved or kind in shown, f"a browser would show {answer.headers}"
    # Open WebUI and Nginx both send it.
    sniffing = answer.headers.get("x-content-type-options", "").split(", ")
    assert set(sniffing) == {"nosniff"}, answer.headers


def multipart(*lines: str) -> Send:
    """An upload whose parts no client would send."""
    body = "\r\n".join(lines)
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    return trusted(
        "POST", "/api/v1/files/?process=false", content=body.encode("latin-1"), headers=kind
    )


def part(disposition: str) -> Send:
    return multipart(
        "--b", f"Content-Disposition: form-data; {disposition}", "", "hello", "--b--", ""
    )


def bomb() -> bytes:
    """A document of 10 KB that unpacks to 10 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 10_000_000)
    return packed.getvalue()


TAKEN = {200, 400, 422}
UPLOADS = rows(
    "upload",
    TAKEN,
    ("dots in the name", upload("../../../../../tmp/hostile.txt")),
    ("backslashes in the name", upload("..\\..\\hostile.txt")),
    ("an absolute path", upload("/etc/cron.d/hostile")),
    ("encoded dots in the name", upload("..%2f..%2fhostile.txt")),
    ("only dots", upload("..")),
    ("the name of a hidden file", upload(".ssh/authorized_keys")),
    ("a null byte in the name", upload("hostile.txt\0.png")),
    ("a line end in the name", part('name="file"; filename="a%0d%0aX-Injected: y.txt"')),
    ("a quotation mark in the name", upload('a".txt; filename=b.html')),
    ("letters from right to left", upload("gpj.\u202etxt.exe")),
    ("control characters", upload("a\x07\x1b[31mb.txt")),
    ("300 letters", upload("a" * 300 + ".txt")),
    ("10,000 letters", upload("a" * 10_000 + ".txt"), TAKEN | {413, 431}),
    ("HTML in the name", upload("<img src=x onerror=alert(1)>.txt")),
    ("no name", part('name="file"; filename=""')),
    ("two names", part('name="file"; filename="a.txt"; filename="b.html"')),
    ("a name in another encoding", part("name=\"file\"; filename*=UTF-7''+AC4ALg-/x")),
    ("HTML", upload("page.html", SCRIPT, "text/html")),
    ("HTML by another name", upload("page.png", SCRIPT, "text/html")),
    ("HTML with two endings", upload("page.html.png", SCRIPT, "image/png")),
    ("HTML called an image", upload("page.html", SCRIPT, "image/png")),
    ("HTML called text", upload("page.html", SCRIPT, "text/plain")),
    ("HTML called PDF", upload("page.pdf", SCRIPT, "application/pdf")),
    ("XHTML", upload("page.xhtml", SCRIPT, "application/xhtml+xml")),
    ("an image with a script", upload("image.svg", SVG, "image/svg+xml")),
    ("JavaScript", upload("worker.js", b"postMessage(1)", "text/javascript")),
    ("a type with a line end", upload("a.txt", b"x", "text/html\tx")),
    ("a program", upload("hostile", b"\x7fELF" + bytes(64), "application/x-executable")),
    ("a file of Nginx", upload(".htaccess", b"Options +Indexes")),
    (
        "an entity of XML",
        upload(
            "x.xml",
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
            "text/xml",
            query="?process_in_background=false",
        ),
    ),
    (
        "ten thousand laughs",
        upload(
            "x.xml",
            b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "'
            + b"&a;" * 100
            + b'"><!ENTITY c "'
            + b"&b;" * 100
            + b'">]><x>&c;</x>',
            "text/xml",
            query="?process_in_background=false",
        ),
    ),
    (
        "a small bomb in a document",
        upload(
            "x.docx",
            bomb(),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            query="?process_in_background=false",
        ),
    ),
    (
        "a document that is none",
        upload("x.pdf", b"%PDF-1.7\n%", "application/pdf", query="?process_in_background=false"),
    ),
    (
        "a recording that is none",
        upload("x.wav", b"RIFF", "audio/wav", query="?process_in_background=false"),
    ),
    (
        "a compressed request",
        trusted(
            "POST",
            "/api/v1/files/?process=false",
            content=zlib.compress(bytes(1_000_000)),
            headers={
                "Content-Encoding": "deflate",
                "Content-Type": "multipart/form-data; boundary=b",
            },
        ),
    ),
    (
        "no boundary",
        trusted(
            "POST", "/api/v1/files/", content=b"x", headers={"Content-Type": "multipart/form-data"}
        ),
    ),
    ("a boundary that never comes", multipart("--c", "", "x")),
    (
        "2,000 parts",
        multipart(
            *(
                line
                for _ in range(2_000)
                for line in ("--b", 'Content-Disposition: form-data; name="x"', "", "y")
            ),
            "--b--",
            "",
        ),
    ),
    (
        "a part with 1,000 fields",
        multipart("--b", *(f"X-{number}: y" for number in range(1_000)), "", "x", "--b--", ""),
    ),
    (
        "metadata that is no object",
        trusted(
            "POST",
            "/api/v1/files/?process=false",
            files={"file": ("a.txt", b"x")},
            data={"metadata": "[[[["},
        ),
    ),
    (
        "metadata of another channel",
        trusted(
            "POST",
            "/api/v1/files/?process=false",
            files={"file": ("a.txt", b"x")},
            data={"metadata": json.dumps({"channel_id": "{chat}", "knowledge_id": "{chat}"})},
        ),
    ),
    (
        "without the permission",
        api("POST", "/api/v1/files/", as_user="user", files={"file": ("a.txt", b"x")}),
        STRANGER,
    ),
    ("without a session", api("POST", "/api/v1/files/", files={"file": ("a.txt", b"x")}), STRANGER),
    ("a picture that is a script", picture("javascript:alert(1)"), {422}),
    (
        "a picture that is SVG",
        picture("data:image/svg+xml;base64," + base64.b64encode(SVG).decode()),
        {422},
    ),
    (
        "a picture that is HTML",
        picture("data:text/html;base64," + base64.b64encode(SCRIPT).decode()),
        {422},
    ),
    ("a picture that is a file", picture("file:///etc/passwd"), {422}),
    ("a picture that is an interface", picture("/api/v1/auths/signout"), {422}),
    (
        "a picture that is HTML called PNG",
        lambda target: _shown_picture(
            target, "data:image/png;base64," + base64.b64encode(SCRIPT).decode()
        ),
        {200, 422},
    ),
)


def _shown_picture(target: Target, url: str) -> Answer:
    answer = picture(url)(target)
    check_shown(trusted("GET", "/api/v1/users/{trusted}/profile/image")(target))
    return answer


# What an event of a stranger, or of a user about others' things, is answered: nothing.
SILENTLY = {200, CLOSED}
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("usage", {"model": "{model}"}),
    ("usage", {"model": ["{model}"]}),
    ("heartbeat", {}),
    ("user-join", {"auth": {"token": "x"}}),
    ("join-channels", {"auth": {"token": "x"}}),
    ("join-note", {"auth": {"token": "x"}, "note_id": "{note}"}),
    ("events:chat", {"chat_id": "{chat}", "data": {"type": "join"}}),
    ("events:chat", {"chat_id": "{chat}", "data": {"type": "last_read_at"}}),
    ("events:channel", {"channel_id": "{chat}", "data": {"type": "typing"}}),
    ("ydoc:document:join", {"document_id": "note:{note}", "user_id": "{owner}"}),
    ("ydoc:document:join", {"document_id": "note_{note}", "user_id": "{owner}"}),
    ("ydoc:document:state", {"document_id": "note:{note}"}),
    ("ydoc:document:update", {"document_id": "note:{note}", "update": [0, 0]}),
    ("ydoc:awareness:update", {"document_id": "note:{note}", "update": [0]}),
    ("__class__", {}),
    ("connect", {}),
    ("disconnect", {}),
)
POLLING = SOCKET.replace("websocket", "polling")
SOCKETS = rows(
    "socket",
    SILENTLY,
    ("every event without a session", over_socket(*(emit(*event) for event in EVENTS))),
    (
        "every event about the owner's things",
        over_socket(*(emit(*event) for event in EVENTS), as_user="user"),
    ),
    (
        "a session with alg none",
        lambda target: over_socket(_joining(token(header={"alg": "none"}, signature="")(target)))(
            target
        ),
    ),
    (
        "a session of an empty key",
        lambda target: over_socket(_joining(token(key=b"")(target)))(target),
    ),
    ("a session that is no text", over_socket(emit("user-join", {"auth": {"token": {"$ne": ""}}}))),
    ("another site", over_socket(origin=f"https://{ELSEWHERE}"), {400, 403}),
    (
        "another site whose name starts alike",
        over_socket(origin=f"https://{{host}}.{ELSEWHERE}"),
        {400, 403},
    ),
    ("a page without a site", over_socket(origin="null"), {400, 403}),
    ("the site by plain HTTP", over_socket(origin="http://{host}"), {400, 403}),
    (
        "another site and the owner's cookie",
        over_socket(origin=f"https://{ELSEWHERE}", Cookie="token={owner_token}"),
        {400, 403},
    ),
    ("another host", over_socket(Host=ELSEWHERE), {421}),
    ("another version", over_socket(Sec_WebSocket_Version="99"), {400, 426}),
    ("no key", over_socket(Sec_WebSocket_Key=""), {400}),
    ("another protocol", over_socket(Upgrade="h2c"), {400, 404, 426}),
    ("an upgrade of an interface", over_socket(path=EXPORT), {400, 401, 403, 404}),
    (
        "a path out of the socket",
        over_socket(path="/ws/socket.io/..%2f..%2fapi/v1/users/"),
        {400, 403, 404},
    ),
    ("long polling, which is off", api("GET", POLLING), {400}),
    (
        "another site by long polling",
        api("GET", POLLING, headers={"Origin": f"https://{ELSEWHERE}"}),
        {400},
    ),
    (
        "another version of engine.io",
        over_socket(path=SOCKET.replace("EIO=4", "EIO=1")),
        {400, 403},
    ),
    (
        "a session id of engine.io",
        over_socket(path=SOCKET + "&sid=AAAAAAAAAAAAAAAAAAAA"),
        {400, 403},
    ),
    ("speech without a session", over_socket(path="/api/v1/audio/realtime"), {403, CLOSED, SILENT}),
    (
        "a terminal without a session",
        over_socket(path="/api/v1/terminals/x/api/terminals/x"),
        {403, CLOSED, SILENT},
    ),
    ("a frame without a mask", over_socket(packet("42[]", masked=False)), {CLOSED}),
    ("an unknown opcode", over_socket(packet("x", opcode=5)), {CLOSED}),
    ("reserved bits", over_socket(packet("42[]", reserved=7)), {CLOSED}),
    ("a ping of 200 bytes", over_socket(packet("x" * 200, opcode=9)), {CLOSED}),
    ("a ping in two parts", over_socket(packet("x", opcode=9, final=False)), {CLOSED}),
    ("the end of a message that has no start", over_socket(packet("x", opcode=0)), {CLOSED}),
    ("a message that claims 4 EiB", over_socket(packet("42", length=1 << 62)), {CLOSED}),
    (
        "a message that claims a negative length",
        over_socket(packet("42", length=(1 << 64) - 1)),
        {CLOSED},
    ),
    ("no UTF-8", over_socket(packet(b'42["\xff\xfe"]'))),
    ("binary data", over_socket(packet(b"\x04\x00\xff", opcode=2))),
    ("a code of closing that is reserved", over_socket(packet(b"\x03\xee", opcode=8)), {CLOSED}),
    ("an unknown packet", over_socket(packet("9"))),
    ("an empty packet", over_socket(packet(""))),
    ("an event that is no JSON", over_socket(packet("42nonsense"))),
    ("an event that is no list", over_socket(packet('42{"a":1}'))),
    ("an event without a name", over_socket(packet("42[]"), packet("42[null]"))),
    ("an event of 20,000 levels", over_socket(packet("42" + "[" * 20_000 + "]" * 20_000))),
    ("another namespace", over_socket(packet("40/admin,"), packet('42/admin,["x"]'))),
    (
        "a million attachments",
        over_socket(packet('451000000-["x",{"_placeholder":true,"num":0}]')),
        SILENTLY | {SILENT},
    ),
    (
        "attachments that never come",
        over_socket(packet('4599-["usage",{"_placeholder":true,"num":0}]')),
        SILENTLY | {SILENT},
    ),
    ("the answer to an event that was never sent", over_socket(packet("43999999[]"))),
    ("an acknowledgement of 400 digits", over_socket(packet("42" + "9" * 400 + '["x"]'))),
    ("17 MB", over_socket(packet("42" + "x" * 17_000_000)), {CLOSED}),
    ("20 events", over_socket(*[emit("usage", {"model": "x"})] * 20, as_user="user")),
    ("2,000 pings", over_socket(*[packet("", opcode=9)] * 2_000)),
    (
        "20 models in use",
        over_socket(
            *(emit("usage", {"model": f"x{number}"}) for number in range(20)), as_user="user"
        ),
    ),
    ("20 connections that say nothing", lambda target: _many_sockets(target, 20), {101}),
)


def _joining(session: str) -> Callable[[WebSocket, Target], None]:
    return emit("user-join", {"auth": {"token": session}})


def _many_sockets(target: Target, count: int) -> Answer:
    origin = {"Origin": target.server.origin}
    sockets = [WebSocket(target.server, SOCKET, origin) for _ in range(count)]
    for socket in sockets:
        socket.close()
    return Answer(max(socket.status for socket in sockets))


def slow(name: str) -> Send:
    """Wait until the server ends a connection that is slow in this way.

    All of them are started with the first one, so that they wait together. How long the server
    waits is in nginx.conf; Open WebUI ends the silent WebSocket.
    """

    def send(target: Target) -> Answer:
        begin_slow(target)
        target.scratch["slow"][name].settimeout(150)
        try:
            while target.scratch["slow"][name].recv(1 << 16):
                pass
        except TimeoutError:
            return Answer(SILENT)
        except OSError:
            pass
        return Answer(CLOSED)

    return send


def begin_slow(target: Target) -> None:
    if "slow" in target.scratch:
        return
    form = f"POST {SIGN_IN} HTTP/1.1\r\n{HOST}\r\nContent-Length: 1000\r\n\r\n"
    file = (
        f"POST /api/v1/files/ HTTP/1.1\r\n{HOST}\r\nContent-Length: 1000\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\n"
        f"Authorization: Bearer {target.sessions['trusted']}\r\n\r\n--b"
    )
    starts = {
        "nothing": "",
        "fields": f"GET / HTTP/1.1\r\n{HOST}\r\nX: ",
        "form": form,
        "file": file,
    }
    slow = {}
    for name, start in starts.items():
        slow[name] = target.server.connect()
        slow[name].sendall(target.fill(start).encode())
    slow["handshake"] = target.server.connect_without_tls()
    slow["socket"] = WebSocket(target.server, SOCKET, {"Origin": target.server.origin}).wire
    target.scratch["slow"] = slow


def many_slow(target: Target) -> Answer:
    """Let 50 requests wait for their end, and load the page meanwhile."""
    waiting = [target.server.connect() for _ in range(50)]
    for wire in waiting:
        wire.sendall(target.fill(f"GET / HTTP/1.1\r\n{HOST}\r\nX: ").encode())
    answer = api("GET", "/")(target)
    for wire in waiting:
        wire.close()
    return answer


SLOW = rows(
    "slow",
    {CLOSED},
    ("50 requests whose fields do not end", many_slow, {PAGE}),
    ("a connection that asks nothing", slow("nothing")),
    ("fields that do not end", slow("fields")),
    ("a sign-in that does not end", slow("form")),
    ("a file that does not end", slow("file")),
    ("a connection without TLS", slow("handshake")),
    ("a WebSocket that does not answer pings", slow("socket")),
)


def as_user(method: str, path: str, body: Any = None, **how: Any) -> Send:
    return api(method, path, body, as_user="user", **how)


def json_text(text: str, path: str = "/api/chat/completions") -> Send:
    """A body that is JSON, or nearly."""
    return as_user(
        "POST", path, content=text.encode(), headers={"Content-Type": "application/json"}
    )


def circle(target: Target) -> Answer:
    """A chat of the user's own whose messages answer each other, as a file of another chat."""
    messages = {
        name: {
            "id": name,
            "role": "user",
            "content": "x",
            "parentId": other,
            "childrenIds": [other],
        }
        for name, other in (("a", "b"), ("b", "a"))
    }
    history = {"messages": messages, "currentId": "a"}
    made = as_user("POST", "/api/v1/chats/new", {"chat": {"title": "x", "history": history}})(
        target
    )
    if made.status != 200:
        return made
    chat = json.loads(made.body)["id"]
    return question("Hello", files=[{"type": "chat", "id": chat}])(target)


def question(text: str, **fields: Any) -> Send:
    asked = {
        "model": "{model}",
        "messages": [{"role": "user", "content": text}],
        "stream": False,
        "max_tokens": 1,
    }
    return as_user("POST", "/api/chat/completions", {**asked, **fields})


ANSWERED = {200, 400, 404, 422}


def _folder_in_itself(target: Target) -> Answer:
    made = as_user("POST", "/api/v1/folders/", {"name": "x"})(target)
    if made.status != 200:
        return made
    folder = json.loads(made.body)["id"]
    as_user("POST", f"/api/v1/folders/{folder}/update/parent", {"parent_id": folder})(target)
    return as_user("GET", f"/api/v1/folders/{folder}")(target)


BOMBS = rows(
    "bomb",
    ANSWERED,
    ("a field of 200 KiB", at("/", "X: " + "y" * 200_000), ENDED | {431}),
    (
        "1,000 fields",
        at("/api/version", *(f"X{number}: y" for number in range(1_000))),
        {200, *ENDED},
    ),
    (
        "4,000 cookies",
        at("/api/version", "Cookie: " + "; ".join(f"a{number}=b" for number in range(4_000))),
        {200, *ENDED},
    ),
    ("2,000 names in the query", at("/api/config?" + "a&" * 2_000), {200, *ENDED}),
    (
        "1,000 ranges",
        at("/static/favicon.png", "Range: bytes=" + ",".join(["0-"] * 1_000)),
        {200, 206, 400, 416},
    ),
    ("ranges backwards", at("/static/favicon.png", "Range: bytes=9-1,-0,5-"), {200, 206, 400, 416}),
    (
        "a body of 200 MB, announced",
        raw("POST /api/v1/files/ HTTP/1.1", HOST, "Content-Length: 200000000", CLOSE),
        {401, 413},
    ),
    ("JSON of 100,000 levels", json_text("[" * 100_000 + "]" * 100_000), {400, 422}),
    ("objects of 100,000 levels", json_text('{"a":' * 100_000 + "1" + "}" * 100_000), {400, 422}),
    (
        "JSON of 100,000 levels without a session",
        api(
            "POST",
            "/api/chat/completions",
            content="[" * 100_000,
            headers={"Content-Type": "application/json"},
        ),
        {400, 401, 422},
    ),
    ("a number of 100,000 digits", json_text('{"model": ' + "9" * 100_000 + "}"), {400, 422}),
    ("a number that is infinite", json_text('{"model": 1e999999}'), {400, 404, 422}),
    ("not a number", json_text('{"model": NaN}'), {400, 404, 422}),
    ("no UTF-8", json_text('{"model": "\\ud800"}'), {400, 404, 422}),
    ("a name of 1 MB", json_text('{"%s": 1}' % ("a" * 1_000_000)), {400, 404, 422}),
    (
        "100,000 names",
        json_text(json.dumps({f"a{number}": 1 for number in range(100_000)})),
        {400, 404, 422},
    ),
    ("a model that is a path", question("x", model="../../etc/passwd")),
    ("a model that is an object", question("x", model={"$ne": ""})),
    ("a chat of another user", question("x", chat_id="{chat}", id="m1", session_id="x")),
    ("messages that answer each other", circle),
    ("20,000 images that do not end", question("![" * 20_000)),
    ("20,000 brackets of a template", question("{{" * 20_000)),
    ("20,000 thoughts that do not end", question("<think>" * 5_000)),
    ("a context of a million tokens", question("x", options={"num_ctx": 1_000_000})),
    (
        "the model given up",
        as_user("POST", "/ollama/api/generate", {"model": "{model}", "keep_alive": 0}),
    ),
    (
        "a search that is a slow expression",
        as_user("GET", "/api/v1/chats/search?text=(((((a%2B)%2B)%2B)%2B)%24" + "a" * 2_000),
    ),
    (
        "a search for 1,000 tags",
        as_user("GET", "/api/v1/chats/search?text=" + "tag:a%20" * 1_000),
        ANSWERED | {500},
    ),
    ("a search for wildcards", as_user("GET", "/api/v1/chats/search?text=" + "%25_" * 2_000)),
    (
        "an injection into a search",
        as_user("GET", "/api/v1/chats/search?text=%27%20UNION%20SELECT%20password%20FROM%20auth--"),
    ),
    ("a page below zero", as_user("GET", "/api/v1/chats/?page=-1")),
    ("a page of 400 digits", as_user("GET", "/api/v1/chats/?page=" + "9" * 400)),
    (
        "a shared address that is long",
        as_user("GET", "/?shared=https://" + "a" * 20_000),
        {PAGE, 307},
    ),
    ("a shared film of another site", as_user("GET", f"/watch?v=//{ELSEWHERE}/"), {PAGE, 307}),
    ("a folder in itself", _folder_in_itself, REFUSED | {200}),
)


def load(path: str, **fields: Any) -> Send:
    """A short question, of a user who may not choose how the model is loaded."""
    question = {
        "model": "{model}",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
        "max_tokens": 1,
        **fields,
    }
    return api("POST", path, question, as_user="user")


def native(path: str, options: dict[str, Any] | None = None, **fields: Any) -> Send:
    """A question by Ollama's own interface, whose options also have its length."""
    return load(f"/ollama/api/{path}", options={"num_predict": 1, **(options or {})}, **fields)


CHAT, LONGER = "/api/chat/completions", {"num_ctx": 1024}
KELVIN: dict[str, Any] = {"\u212aeep_alive": 0}
BOTH: dict[str, Any] = {"options": LONGER, "keep_alive": 0}
# Interfaces like those of others, with the field that each needs in addition.
OPENAI: dict[str, dict[str, Any]] = {
    "chat/completions": {},
    "completions": {"prompt": "Hello"},
    "messages": {},
    "responses": {"input": "Hello"},
}
LOADING = rows(
    "loading",
    {200, 400, 404, 422},
    ("a context of a question", load(CHAT, options=LONGER)),
    ("a context as a parameter", load(CHAT, params=LONGER)),
    ("a context as a parameter in text", load(CHAT, params={"custom_params": {"num_ctx": "1024"}})),
    ("no context", load(CHAT, options={"num_ctx": None, "num_batch": 64})),
    ("threads", load(CHAT, options={"num_thread": 1})),
    ("no memory mapping", load(CHAT, options={"use_mmap": False})),
    ("an end among the options", load(CHAT, options={"keep_alive": 0})),
    ("an end as a parameter", load(CHAT, params={"keep_alive": 0})),
    ("an end of a question", load(CHAT, keep_alive=0)),
    ("a context for Ollama", native("chat", LONGER)),
    ("an end for Ollama", native("chat", keep_alive=0)),
    ("an end for Ollama, in text", native("chat", keep_alive="0s")),
    ("an end for Ollama, in other letters", native("chat", Keep_Alive=0)),
    ("an end for Ollama, with a Kelvin sign", native("chat", None, **KELVIN)),
    ("a context for Ollama, in other letters", native("chat", OPTIONS=LONGER)),
    ("another model, in other letters", native("chat", MODEL="hidden"), {200}),
    ("a context of a text", native("generate", LONGER, prompt="Hello")),
    ("an end of a text", native("generate", prompt="Hello", keep_alive=0)),
    ("an end without a text", native("generate", keep_alive=0)),
    ("a context of an embedding", native("embed", LONGER, input="Hello", keep_alive=0), {501}),
    ("a context of a former embedding", native("embeddings", LONGER, prompt="Hello"), {500}),
    *(
        (f"a context and an end for /v1/{path}", load(f"/ollama/v1/{path}", **BOTH, **text))
        for path, text in OPENAI.items()
    ),
    (
        "a context of a title",
        load("/api/v1/tasks/title/completions", options=LONGER, params=LONGER, keep_alive=0),
    ),
)

KINDS = (
    LOADING,
    PATHS,
    SMUGGLING,
    HTTP2,
    HOSTS,
    FORWARDED,
    PASSWORDS,
    TOKENS,
    INTERFACES,
    FETCHES,
    UPLOADS,
    SOCKETS,
    SLOW,
    BOMBS,
)
