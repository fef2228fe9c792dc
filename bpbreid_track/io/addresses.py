"""Addresses: what kind they are, and how they may be shown, without user names, passwords and tokens."""

from __future__ import annotations

import re

# These have no end.
LIVE_SCHEMES = frozenset({"rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})
# What of a query says which picture, not who asks. The values of all other keys are hidden: nobody can list
# the names under which cameras and services take passwords, tokens and signatures.
_PLAIN_KEYS = frozenset(
    [
        "camera",
        "ch",
        "channel",
        "codec",
        "fps",
        "height",
        "id",
        "index",
        "profile",
        "proto",
        "quality",
        "resolution",
        "stream",
        "subtype",
        "transport",
        "unicast",
        "video",
        "width",
    ]
)
_HIDDEN = "***"
# In a text an address ends at a space or quote, but a password may hold both: with a user and a colon, unless
# that is a port, it goes on to the last @ before the next address.
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://"
    r"(?:[^/?#\s@:'\"<>]*:(?!\d+(?:[/?#\s'\"<>]|$))(?:(?!://)[^\n])*@)?"
    r"[^\s'\"<>]+",
    re.IGNORECASE,
)


def is_stored(text: str) -> bool:
    """Whether ``text`` is the address of something that lies in a store; neither a stream nor on the web.

    >>> is_stored("s3://bucket/a.mp4"), is_stored("rtsp://10.0.0.7/live"), is_stored("a.mp4")
    (True, False, False)
    """
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() not in LIVE_SCHEMES | {"http", "https"}


def public_name(address: str) -> str:
    """A URL without user name and password, and with the values of its query hidden.

    >>> public_name("rtsp://anna:pa/ss@10.0.0.7:554/live?channel=2&token=abc")
    'rtsp://10.0.0.7:554/live?channel=2&token=***'
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    # What may stand between the bars ends at the first of /?#, but passwords are typed with these in them.
    before = rest.rpartition("@")[0]
    if before and (":" in re.split(r"[/?#]", before)[0] or not re.search(r"[/?#]", before)):
        rest = rest[len(before) + 1 :]
    place, mark, query = rest.partition("?")
    place = "/".join(map(_hide, place.split("/")))
    return scheme + separator + place + mark + "".join(map(_hide_bare, re.split(r"([&;#])", query)))


def without_secrets(text: str) -> str:
    """``text`` with every address in it as ``public_name`` gives it."""
    return _ADDRESS.sub(lambda found: public_name(found[0]), text)


def _hide(word: str) -> str:
    """``key=value`` with the value hidden unless its key is known to be harmless."""
    pieces = re.split(r"([&;#])", word)
    return "".join(_hidden_value(piece) if "=" in piece else piece for piece in pieces)


def _hide_bare(word: str) -> str:
    """The same in a query, where a word without ``=`` may be a token."""
    return word if word in {"", "&", ";", "#"} else _hidden_value(word) if "=" in word else _HIDDEN


def _hidden_value(word: str) -> str:
    key, _, value = word.partition("=")
    if key.lower() in _PLAIN_KEYS and re.fullmatch(r"[\w.x-]{0,12}", value):
        return word
    return f"{key}={_HIDDEN}"
