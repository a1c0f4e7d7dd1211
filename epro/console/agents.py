"""What a browser calls itself, told as a person would: which browser, on which system. Knows nothing else.

A browser may say what it likes; what is in no list stays unknown, and what it said stands beside it.
"""

from __future__ import annotations

Known = tuple[tuple[str, str], ...]

BROWSERS: Known = (  # a later one's words stand in those before it too: the first that fits is it
    ("MicroMessenger/", "WeChat"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("QQBrowser/", "QQ Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
SYSTEMS: Known = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)
EVERY_BROWSER = "Mozilla/5.0 ("  # what no program for other ends begins with


def told(agent: str | None) -> tuple[str, str]:
    """(browser, system), each empty where it is not known."""
    if not agent or not agent.startswith(EVERY_BROWSER):
        return "", ""
    return _first(BROWSERS, agent), _first(SYSTEMS, agent)


def _first(known: Known, agent: str) -> str:
    return next((name for words, name in known if words in agent), "")
