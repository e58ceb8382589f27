"""What XCom holds instead of a file: where it is and how to tell that it is the same one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

XCOM_LIMIT_BYTES = 32 * 1024
"""JSON larger than this goes to a file. MySQL keeps 64 KB per XCom, and every list view loads them."""


def make_manifest(path: str, size: int, sha256: str, media_type: str, **ids: Any) -> dict[str, Any]:
    """
    Describe one written file, small and JSON serializable, never with a link in it.

    :param path: local path or URL, with its ``conn_id@``: what ``resolve_sources`` takes again.
    :param size: bytes.
    :param sha256: hex digest.
    :param ids: what ties the file to its job (``report_id``, ``case_id``, ``submission_id``, ``rows``...);
        ``None`` values are left out.
    :returns: ``{"path", "bytes", "sha256", "media_type", **ids}``.
    """
    manifest: dict[str, Any] = {"path": path, "bytes": size, "sha256": sha256, "media_type": media_type}
    manifest.update({key: value for key, value in ids.items() if value is not None})
    return manifest


def xcom_size(value: Any) -> int:
    """Return the size of ``value`` as JSON, in bytes of UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode())


def fits_xcom(value: Any) -> bool:
    """Tell whether a value may go to XCom as it is."""
    return xcom_size(value) <= XCOM_LIMIT_BYTES


HEAD_BYTES = 1024
TAIL_BYTES = 2048
PADDING = b"\0\t\n\f\r "
"""What some writers fill a document up with after its end, tens of kilobytes of it."""


class Digest:
    """SHA-256, size, and the two ends of a byte stream, padding aside, in constant memory."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.head = b""
        self.tail = b""
        self._padding = b""

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        if content := data.rstrip(PADDING):
            self.tail = (self.tail + self._padding + content[-TAIL_BYTES:])[-TAIL_BYTES:]
            self._padding = b""
        self._padding = (self._padding + data[len(content) :])[-TAIL_BYTES:]

    def sha256(self) -> str:
        """Hex digest of what has gone by so far; more may follow."""
        return self._sha256.hexdigest()
