"""Names the browser and system of a User-Agent header: to show, as anybody can send any."""

from __future__ import annotations

from .environ import MAX_USER_AGENT_CHARACTERS

UNKNOWN_DEVICE = "Unknown device"

# A name and its marks. The first one found counts: browsers also name those that they are
# compatible with.
_BROWSERS = (
    ("Edge", "Edg/", "EdgA/", "EdgiOS/", "Edge/"),
    ("Opera", "OPR/", "OPT/", "OPiOS/"),
    ("Opera Mini", "Opera Mini/"),
    ("Opera", "Opera/"),
    ("Samsung Internet", "SamsungBrowser/"),
    ("Yandex Browser", "YaBrowser/"),
    ("Vivaldi", "Vivaldi/"),
    ("UC Browser", "UCBrowser/"),
    ("Mi Browser", "MiuiBrowser/"),
    ("Huawei Browser", "HuaweiBrowser/"),
    ("HeyTap Browser", "HeyTapBrowser/"),
    ("Vivo Browser", "VivoBrowser/"),
    ("DuckDuckGo", "DuckDuckGo/", "Ddg/"),
    ("Whale", "Whale/"),
    ("Silk", "Silk/"),
    ("WeChat", "MicroMessenger/"),
    ("Instagram", "Instagram "),
    ("Facebook", "FBAN/", "FBAV/"),
    ("Firefox Focus", "Focus/"),
    ("SeaMonkey", "SeaMonkey/"),
    ("Pale Moon", "PaleMoon/"),
    ("Firefox", "Firefox/", "FxiOS/"),
    ("GNOME Web", "Epiphany/"),
    ("Google app", "GSA/"),
    ("Chrome", "CriOS/"),
    ("Chromium", "Chromium/"),
    ("Chrome", "Chrome/"),
    ("Internet Explorer", "Trident/", "MSIE "),
    ("Konqueror", "Konqueror/"),
    ("Safari", "Safari/"),
    ("Lynx", "Lynx/"),
    ("w3m", "w3m/"),
    ("curl", "curl/"),
    ("Wget", "Wget/"),
    ("Postman", "PostmanRuntime/"),
    ("OkHttp", "okhttp/"),
    ("Go", "Go-http-client/"),
    ("Python", "python-requests/", "python-httpx/", "Python-urllib/", "aiohttp/"),
    ("Node.js", "node-fetch"),
)
_SYSTEMS = (
    ("Windows Phone", "Windows Phone"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("iPod", "iPod"),
    ("Android", "Android"),
    ("KaiOS", "KAIOS"),
    ("HarmonyOS", "OpenHarmony"),
    ("ChromeOS", "CrOS"),
    ("Xbox", "Xbox"),
    ("PlayStation", "PlayStation"),
    ("Windows", "Windows"),
    ("macOS", "Mac OS X", "Macintosh"),
    ("Tizen", "Tizen"),
    ("webOS", "Web0S"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
)


def device_in_words(user_agent: str | None) -> str:
    """Return the names of browser and system, both from a fixed list.

    >>> device_in_words("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0")
    'Firefox on Linux'
    >>> device_in_words("curl/8.5.0"), device_in_words("no browser at all"), device_in_words(None)
    ('curl', 'Unknown device', 'Unknown device')
    """
    text = (user_agent or "")[:MAX_USER_AGENT_CHARACTERS]
    browser, system = _first_in(text, _BROWSERS), _first_in(text, _SYSTEMS)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or UNKNOWN_DEVICE


def _first_in(text: str, names: tuple[tuple[str, ...], ...]) -> str | None:
    return next((name for name, *marks in names if any(mark in text for mark in marks)), None)
