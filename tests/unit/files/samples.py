"""The smallest files that are really what they say."""

from __future__ import annotations

import io
import struct
import wave
import zipfile

from fpdf import FPDF


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def iso_media(major: bytes, *compatible: bytes) -> bytes:
    return _box(b"ftyp", major + b"\0\0\2\0" + b"".join(compatible)) + _box(b"moov", b"\0" * 100)


def matroska(document_type: bytes) -> bytes:
    head = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82"
    return head + bytes([0x80 | len(document_type)]) + document_type + b"\x18S\x80g\x01\0\0\0" + b"\0" * 100


def wav() -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0" * 8000)
    return stream.getvalue()


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name in names:
            out.writestr(name, "<x/>")
    return stream.getvalue()


def old_office(stream_name: str) -> bytes:
    """An OLE compound file whose directory names one stream."""
    header = bytearray(512)
    header[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    header[0x18:0x22] = struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header[0x2C:0x34] = struct.pack("<II", 1, 1)
    fat = struct.pack("<II", 0xFFFFFFFD, 0xFFFFFFFE) + b"\xff" * 504

    def entry(name: str, kind: int) -> bytes:
        encoded = name.encode("utf-16-le")
        return encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded) + 2, kind, 1) + b"\0" * 60

    return bytes(header) + fat + (entry("Root Entry", 5) + entry(stream_name, 2)).ljust(512, b"\0")


def pdf() -> bytes:
    document = FPDF()
    document.add_page()
    return bytes(document.output())


def riff(kind: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 200) + kind + b"\0" * 190


# Its size has no zero byte.
LARGE_MDAT = b"\x12\x34\x56\x78mdat" + bytes(range(256)) * 4

MP3_FRAMES = (b"\xff\xfb\x90\x00" + b"\0" * 413) * 10
AAC_FRAMES = (b"\xff\xf1\x50\x80\x02\x1f\xfc" + b"\0" * 9) * 20
ID3_TAG = b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

SAMPLES: dict[str, tuple[bytes, str]] = {
    "clip.mp4": (iso_media(b"isom", b"isom", b"avc1"), "video/mp4"),
    "fragmented.mp4": (iso_media(b"iso6", b"dash"), "video/mp4"),
    "clip.mov": (iso_media(b"qt  ", b"qt  "), "video/quicktime"),
    "old.mov": (_box(b"moov", b"\0" * 100) + _box(b"mdat", b"\0" * 100), "video/quicktime"),
    "large.mov": (LARGE_MDAT, "video/quicktime"),
    "clip.avi": (riff(b"AVI LIST"), "video/x-msvideo"),
    "clip.mkv": (matroska(b"matroska"), "video/x-matroska"),
    "clip.webm": (matroska(b"webm"), "video/webm"),
    "song.mp3": (MP3_FRAMES, "audio/mpeg"),
    "tagged.mp3": (ID3_TAG + MP3_FRAMES, "audio/mpeg"),
    "song.aac": (AAC_FRAMES, "audio/aac"),
    "tagged.aac": (ID3_TAG + AAC_FRAMES, "audio/aac"),
    "song.m4a": (iso_media(b"M4A ", b"mp42"), "audio/mp4"),
    "song.wav": (wav(), "audio/wav"),
    "long.wav": (b"RF64\xff\xff\xff\xffWAVEds64\x1c" + b"\0" * 100, "audio/wav"),
    "broadcast.wav": (b"BW64\xff\xff\xff\xffWAVEds64\x1c" + b"\0" * 100, "audio/wav"),
    "vorbis.ogg": (b"OggS\0\2" + b"\0" * 20 + b"\x01\x1e\x01vorbis" + b"\0" * 100, "audio/ogg"),
    "opus.ogg": (b"OggS\0\2" + b"\0" * 20 + b"\x01\x13OpusHead" + b"\0" * 100, "audio/ogg"),
    "theora.ogv": (b"OggS\0\2" + b"\0" * 20 + b"\x01\x2a\x80theora" + b"\0" * 100, "video/ogg"),
    "jfif.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\0" * 50, "image/jpeg"),
    "exif.jpeg": (b"\xff\xd8\xff\xe1\0\x10Exif\0\0" + b"\0" * 50, "image/jpeg"),
    "raw.JPG": (b"\xff\xd8\xff\xdb\0\x43" + b"\0" * 50, "image/jpeg"),
    "shot.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 50, "image/png"),
    "loop.gif": (b"GIF89a" + b"\0" * 50, "image/gif"),
    "shot.bmp": (b"BM" + struct.pack("<IHHI", 110, 0, 0, 54) + b"\x28" + b"\0" * 95, "image/bmp"),
    "shot.webp": (riff(b"WEBPVP8 "), "image/webp"),
    "phone.heic": (iso_media(b"heic", b"mif1", b"heic"), "image/heic"),
    "logo.svg": (
        b'<?xml version="1.0"?>\n<!-- c -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "image/svg+xml",
    ),
    "doctype.svg": (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">\n<svg />', "image/svg+xml"),
    "report.pdf": (pdf(), "application/pdf"),
    "letter.doc": (old_office("WordDocument"), "application/msword"),
    "sheet.xls": (old_office("Workbook"), "application/vnd.ms-excel"),
    "letter.docx": (archive("[Content_Types].xml", "word/document.xml"), DOCX),
    "online.docx": (archive("[Content_Types].xml", "word/document2.xml", "word/people.xml"), DOCX),
    "sheet.xlsx": (archive("[Content_Types].xml", "xl/workbook.xml"), XLSX),
    "stuff.zip": (archive("a.txt"), "application/zip"),
    "plain.txt": ("Straße, naïve, 日本\n".encode(), "text/plain"),
    "latin.txt": ("Straße\n".encode("latin-1"), "text/plain"),
    "utf16.txt": ("hello\n".encode("utf-16"), "text/plain"),
    "riff.txt": (b"RIFF is a word\n", "text/plain"),
    "svg_talk.txt": (b"the <svg> element is nice\n", "text/plain"),
    "rows.csv": (b"a,b\n1,2\n", "text/csv"),
    "noise.bin": (bytes(range(256)) * 4, "application/octet-stream"),
}
