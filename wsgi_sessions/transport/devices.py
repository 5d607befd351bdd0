"""Names the browser and system of a User-Agent header: to show, as anybody can send any."""

from __future__ import annotations

UNKNOWN_DEVICE = "Unknown device"

_MAX_USER_AGENT_CHARACTERS = 512

# The first one found counts: browsers also name those that they are compatible with.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera Mini/", "Opera Mini"),
    ("Opera/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("UCBrowser/", "UC Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("HeyTapBrowser/", "HeyTap Browser"),
    ("VivoBrowser/", "Vivo Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Whale/", "Whale"),
    ("Silk/", "Silk"),
    ("MicroMessenger/", "WeChat"),
    ("Instagram ", "Instagram"),
    ("FBAN/", "Facebook"),
    ("FBAV/", "Facebook"),
    ("Focus/", "Firefox Focus"),
    ("SeaMonkey/", "SeaMonkey"),
    ("PaleMoon/", "Pale Moon"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Epiphany/", "GNOME Web"),
    ("GSA/", "Google app"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("Konqueror/", "Konqueror"),
    ("Safari/", "Safari"),
    ("Lynx/", "Lynx"),
    ("w3m/", "w3m"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("PostmanRuntime/", "Postman"),
    ("okhttp/", "OkHttp"),
    ("Go-http-client/", "Go"),
    ("python-requests/", "Python"),
    ("python-httpx/", "Python"),
    ("Python-urllib/", "Python"),
    ("aiohttp/", "Python"),
    ("node-fetch", "Node.js"),
)
_SYSTEMS = (
    ("Windows Phone", "Windows Phone"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("iPod", "iPod"),
    ("Android", "Android"),
    ("KAIOS", "KaiOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("CrOS", "ChromeOS"),
    ("Xbox", "Xbox"),
    ("PlayStation", "PlayStation"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Tizen", "Tizen"),
    ("Web0S", "webOS"),
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
    text = (user_agent or "")[:_MAX_USER_AGENT_CHARACTERS]
    browser = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or UNKNOWN_DEVICE
