"""The rules of the simulated review, as a table.

A text rule finds its words in the text of a document (or SVG) and in the name of any file; each
distinct phrase is one issue. A media rule looks at the properties of an image, a sound or a film.
Two or more issues of one family become a topic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider.simulator.mediamagic.inspection import Facts


@dataclass(slots=True, frozen=True)
class TextRule:
    """Words that a review stumbles over."""

    code: str
    family: str
    severity: str
    summary: str
    words: re.Pattern[str]


@dataclass(slots=True, frozen=True)
class MediaRule:
    """A property that a review stumbles over."""

    code: str
    family: str
    severity: str
    summary: str
    applies: Callable[[Facts], bool]
    status: str = "OPEN"


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(alternatives) + r")(?!\w)", re.IGNORECASE)


FAMILIES = {
    "misleading": "Claims that need evidence",
    "pricing": "Prices and offers",
    "health": "Health claims",
    "financial": "Financial promises",
    "alcohol": "Alcohol",
    "children": "Protection of children",
    "gambling": "Gambling",
    "environment": "Environmental claims",
    "legibility": "Legibility",
    "sound": "Sound",
    "imagery": "Imagery",
    "format": "Format",
}

TEXT_RULES = (
    TextRule(
        "CAP_3.1",
        "misleading",
        "MAJOR",
        "Absolute claim",
        _words("100 ?%", "number one", "best in the world"),
    ),
    TextRule(
        "CAP_3.7", "misleading", "MAJOR", "Promise without evidence", _words("guarantee[sd]?", "proven")
    ),
    TextRule(
        "CAP_3.33", "misleading", "MINOR", "Comparison without a basis", _words("better than", "cheaper than")
    ),
    TextRule(
        "CAP_8.4",
        "pricing",
        "MAJOR",
        "Unsubstantiated pricing claim",
        _words("price[sd]?", r"[$£€] ?\d[\d.,]*"),
    ),
    TextRule(
        "CAP_3.23", "pricing", "MINOR", "Free offer without its conditions", _words("(?<!-)(?<!risk )free")
    ),
    TextRule(
        "CAP_8.17",
        "pricing",
        "MINOR",
        "Pressure to act",
        _words("limited time", "act now", "while stocks last"),
    ),
    TextRule("CAP_12.1", "health", "CRITICAL", "Medicinal claim", _words("cures?", "heals?", "miracle")),
    TextRule("CAP_12.9", "health", "CRITICAL", "Safety claim", _words("no side effects", "completely safe")),
    TextRule("CAP_13.1", "health", "MAJOR", "Weight-loss claim", _words("lose weight", "weight loss")),
    TextRule("CAP_14.1", "financial", "CRITICAL", "Risk is denied", _words("risk[- ]free", "no risk")),
    TextRule(
        "CAP_14.4", "financial", "MAJOR", "Return is promised", _words("double your money", "high returns?")
    ),
    TextRule(
        "CAP_18.1",
        "alcohol",
        "MAJOR",
        "Alcohol needs a second review",
        _words("alcohol", "beer", "wine", "vodka"),
    ),
    TextRule(
        "CAP_18.12",
        "alcohol",
        "CRITICAL",
        "Alcohol and driving",
        _words("drink and drive", "drinking and driving"),
    ),
    TextRule("CAP_5.1", "children", "MINOR", "Addressed to children", _words("children", "kids")),
    TextRule(
        "CAP_5.4", "children", "MAJOR", "Appeal to pester parents", _words("ask your (?:parents|mum|mom|dad)")
    ),
    TextRule("CAP_16.3", "gambling", "MAJOR", "Gambling", _words("casino", "jackpot", "place a bet")),
    TextRule(
        "CAP_11.3", "environment", "MAJOR", "Environmental claim", _words("carbon neutral", "eco[- ]friendly")
    ),
)

MEDIA_RULES = (
    MediaRule("LEG_1.1", "legibility", "MINOR", "Too small for small print", lambda f: 0 < f.width < 320),
    MediaRule("LEG_1.2", "legibility", "MINOR", "Too dark for small print", lambda f: 0 <= f.brightness < 40),
    MediaRule("LEG_1.3", "legibility", "INFO", "Washed out", lambda f: f.brightness > 240),
    MediaRule("IMG_2.1", "imagery", "INFO", "Alarming colour", lambda f: f.redness > 100),
    MediaRule(
        "FMT_1.1",
        "format",
        "INFO",
        "Unusual aspect ratio",
        lambda f: f.width > 4 * f.height > 0 or f.height > 4 * f.width > 0,
    ),
    MediaRule(
        "AUD_1.1",
        "sound",
        "MINOR",
        "Long spot without a second disclosure",
        lambda f: f.kind == "audio" and f.duration > 60,
    ),
    MediaRule(
        "AUD_1.2",
        "sound",
        "MAJOR",
        "Terms are spoken too fast",
        lambda f: f.kind == "audio" and f.hash % 3 == 0,
    ),
    MediaRule(
        "AUD_1.3",
        "sound",
        "MINOR",
        "Music covers the terms",
        lambda f: f.kind == "audio" and f.hash // 3 % 3 == 0,
    ),
    MediaRule(
        "VID_1.1", "format", "INFO", "Longer than a minute", lambda f: f.kind == "video" and f.duration > 60
    ),
    MediaRule(
        "VID_2.1", "imagery", "CRITICAL", "Rapid flashes", lambda f: f.kind == "video" and f.hash % 4 == 0
    ),
    MediaRule(
        "VID_2.2",
        "legibility",
        "MAJOR",
        "Small print is shown too briefly",
        lambda f: f.kind == "video" and f.hash // 4 % 2 == 0,
    ),
    MediaRule(
        "VID_2.3", "legibility", "MINOR", "No subtitles", lambda f: f.kind == "video" and f.hash // 8 % 2 == 0
    ),
    MediaRule(
        "DOC_0.1",
        "format",
        "INFO",
        "Text cannot be extracted",
        lambda f: f.unreadable,
        "AWAITING_HUMAN_INPUT",
    ),
)
