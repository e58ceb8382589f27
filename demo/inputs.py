"""Real files to upload: an advertising campaign for MediaMagic, the evidence of a crash for Silent Witness.

They are drawn and written here rather than kept in the repository. The same code gives the same files.
"""

from __future__ import annotations

import math
import random
import sqlite3
import struct
import wave
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_LEAFLET = {
    "GlowTonic: the miracle tonic": (
        "GlowTonic cures fatigue within a week. It is proven, 100% natural and has no side effects. "
        "Lose weight while you sleep, guaranteed."
    ),
    "Our summer offer": (
        "The first bottle is free. After that the price is $19.99 a month, cheaper than any other tonic. "
        "Limited time only: act now, while stocks last."
    ),
    "Good for the planet": "Every bottle is carbon neutral and better than anything your kids drink today.",
}

_SCRIPT = """GLOWTONIC, RADIO SPOT, 20 SECONDS

VOICE: Tired again? GlowTonic is the number one tonic in the country.
CHILD: Ask your parents for a bottle today!
VOICE: A bottle costs $19.99 and the second one is free. Pour it into a glass of wine if you like.
MUSIC: up and out.
"""

_CRASH = [
    ("Vehicle", "2019 Toyota Camry SE, VIN 4T1B11HK5KU000001"),
    ("Event recorded", "Complete frontal event, 1 of 1"),
    ("Longitudinal delta-V, maximum", "-12.4 mph at 112 ms"),
    ("Lateral delta-V, maximum", "2.1 mph at 86 ms"),
    ("Driver belt status", "Buckled"),
    ("Frontal airbag, driver", "Not deployed"),
]

_PRE_CRASH = [
    ("-5.0", 38.5, 12, "Off"),
    ("-4.0", 38.5, 10, "Off"),
    ("-3.0", 37.9, 4, "Off"),
    ("-2.0", 33.6, 0, "On"),
    ("-1.0", 25.5, 0, "On"),
    ("-0.5", 20.5, 0, "On"),
    ("0.0", 16.2, 0, "On"),
]

FILED_ON = "2026-03-16"
"""The day of the claims."""

_CLAIMS = [
    ("claim-7", "Ada Smith", "Ben Johnson", "Rear-end collision", "Toyota", "Camry", "rear_damage*.jpg"),
    ("claim-8", "Dora Evans", "Paul Gray", "Collision at a turn", "Honda", "Civic", "left_side.png"),
]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the files are."""

    #: a campaign to review: PNG, JPEG, PDF, text and WAV
    media: tuple[Path, ...]
    #: damage of the plaintiff's vehicle, JPEG and PNG
    photos: tuple[Path, ...]
    #: the read-out of the plaintiff's event data recorder, PDF
    edr_reports: tuple[Path, ...]
    #: a folder per campaign, with spots to review
    spots: Path
    #: a SQLite file with claims, which name their photos
    claims: Path


def make_inputs(directory: Path) -> Inputs:
    """Write all files.

    :param directory: made if it does not exist; files of the same names are replaced.
    :return: the paths, absolute.
    """
    directory = directory.resolve()
    media, evidence, spots = directory / "campaign", directory / "evidence", directory / "spots"

    def make(path: Path, write: Callable[[Path], None]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path

    make(spots / "radio" / "radio_script.txt", lambda path: _text(path, _SCRIPT))
    make(spots / "web" / "banner_act_now.jpg", _banner)
    return Inputs(
        media=(
            make(media / "poster.png", _poster),
            make(media / "banner_act_now.jpg", _banner),
            make(media / "leaflet.pdf", _leaflet),
            make(media / "radio_script.txt", lambda path: _text(path, _SCRIPT)),
            make(media / "radio_spot.wav", _spot),
        ),
        photos=(
            make(evidence / "rear_damage.jpg", lambda path: _photo(path, seed=1, dent=(0.86, 0.55))),
            make(
                evidence / "rear_damage_close.jpg",
                lambda path: _photo(path, seed=2, dent=(0.74, 0.6), zoom=2),
            ),
            make(evidence / "left_side.png", lambda path: _photo(path, seed=3, dent=(0.62, 0.58))),
        ),
        edr_reports=(make(evidence / "edr_readout.pdf", _edr_report),),
        spots=spots,
        claims=make(directory / "claims.db", lambda path: _claims(path, evidence)),
    )


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _claims(path: Path, evidence: Path) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE claims (claim_id, claimant, other_party, attorney, accident, accident_date, place,"
            " maker, model, photos, filed_on)"
        )
        connection.executemany(
            "INSERT INTO claims VALUES (?, ?, ?, 'Carla Gomez', ?, '2026-03-14', 'Springfield', ?, ?, ?, ?)",
            [(*claim, f"{evidence}/{photos}", FILED_ON) for *claim, photos in _CLAIMS],
        )


def _poster(path: Path) -> None:
    image = Image.new("RGB", (800, 1100), (196, 38, 46))
    draw = ImageDraw.Draw(image)
    for ring in range(12):
        radius = 330 - 24 * ring
        box = (400 - radius, 470 - radius, 400 + radius, 470 + radius)
        draw.ellipse(box, fill=(196 + 4 * ring, 38 + 14 * ring, 46 + 6 * ring))
    draw.rounded_rectangle((340, 300, 460, 700), radius=36, fill=(24, 60, 42))
    draw.rectangle((375, 240, 425, 305), fill=(230, 220, 190))
    _centred(draw, 400, 120, "GLOWTONIC", 96)
    _centred(draw, 400, 860, "Feel new in a week", 56)
    _centred(draw, 400, 1060, "Terms apply", 12)
    image.save(path)


def _banner(path: Path) -> None:
    image = Image.new("RGB", (1200, 240))
    draw = ImageDraw.Draw(image)
    for column in range(1200):
        draw.line((column, 0, column, 240), fill=(20 + column // 20, 18, 40 + column // 30))
    _centred(draw, 600, 120, "GLOWTONIC  -  LIMITED TIME", 64)
    image.save(path, quality=88)


def _centred(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int) -> None:
    draw.text((x, y), text, fill=(255, 250, 240), font=ImageFont.load_default(size), anchor="mm")


def _photo(path: Path, *, seed: int, dent: tuple[float, float], zoom: int = 1) -> None:
    """A car from the side with a crumpled part, and the grain of a camera."""
    chance = random.Random(seed)  # noqa: S311 - the same picture every time
    width, height = 1280, 960
    image = Image.new("RGB", (width, height), (148, 164, 178))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 620, width, height), fill=(92, 92, 96))
    draw.polygon(((330, 470), (470, 340), (860, 340), (980, 470)), fill=(60, 70, 84))
    draw.rounded_rectangle((170, 460, 1130, 650), radius=60, fill=(164, 170, 176))
    for wheel in (360, 940):
        draw.ellipse((wheel - 90, 560, wheel + 90, 740), fill=(28, 28, 30))
        draw.ellipse((wheel - 48, 602, wheel + 48, 698), fill=(120, 122, 126))
    x, y = dent[0] * width, dent[1] * height
    for _ in range(90):
        angle, reach = chance.uniform(0, 2 * math.pi), chance.gauss(0, 70)
        at = (x + reach * math.cos(angle), y + reach * math.sin(angle))
        to = (at[0] + chance.gauss(0, 40), at[1] + chance.gauss(0, 28))
        shade = chance.randrange(30, 130)
        draw.line((*at, *to), fill=(shade, shade, shade + 6), width=chance.randrange(2, 9))
    if zoom > 1:
        half = (width // zoom // 2, height // zoom // 2)
        left = min(max(int(x) - half[0], 0), width - 2 * half[0])
        top = min(max(int(y) - half[1], 0), height - 2 * half[1])
        image = image.crop((left, top, left + 2 * half[0], top + 2 * half[1])).resize((width, height))
    grain = Image.frombytes("L", (width // 4, height // 4), chance.randbytes(width // 4 * (height // 4)))
    image = image.filter(ImageFilter.GaussianBlur(1.2))
    image = Image.blend(image, grain.resize((width, height)).convert("RGB"), 0.06)
    image.save(path, quality=85)  # which PNG ignores


def _leaflet(path: Path) -> None:
    pdf = _pdf("GlowTonic leaflet")
    for heading, text in _LEAFLET.items():
        _heading(pdf, heading)
        pdf.multi_cell(0, 6, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.ln(4)
    pdf.output(str(path))


def _edr_report(path: Path) -> None:
    pdf = _pdf("Event data recorder report")
    _heading(pdf, "Event Data Recorder (EDR) Report")
    for name, value in _CRASH:
        pdf.cell(75, 7, name)
        pdf.cell(0, 7, value, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(4)
    _heading(pdf, "Pre-crash data, -5 to 0 s")
    with pdf.table(width=150, align="LEFT") as table:
        for row in (("Time (s)", "Speed (mph)", "Accelerator (%)", "Service brake"), *_PRE_CRASH):
            table.row([str(cell) for cell in row])
    pdf.output(str(path))


def _pdf(title: str) -> FPDF:
    pdf = FPDF()
    pdf.set_title(title)
    pdf.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    return pdf


def _heading(pdf: FPDF, text: str) -> None:
    pdf.set_font("Helvetica", style="B", size=15)
    pdf.cell(0, 10, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("Helvetica", size=11)


def _spot(path: Path) -> None:
    """Four seconds of a jingle: 8 kHz, 16 bit, one channel."""
    rate, notes = 8000, (392.0, 440.0, 523.3, 659.3, 587.3, 523.3, 440.0, 392.0)
    length = rate // 2
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        for note in notes:
            sound.writeframes(
                b"".join(
                    struct.pack("<h", int(9000 * (1 - i / length) * math.sin(2 * math.pi * note * i / rate)))
                    for i in range(length)
                )
            )
