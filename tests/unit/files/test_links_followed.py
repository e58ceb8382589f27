"""Links are followed over https only, never with a user, and never inside unless the API is there itself."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from airflow_provider.core.files.download import download
from airflow_provider.core.files.storage_http import LinkError, Transfer, check_link
from airflow_provider.exceptions import TransferError

PUBLIC = "https://api.example.com"
INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "localhost",
    "LOCALHOST.",
    "x.localhost",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[fe80::1%25eth0]",
    "[fd00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
]


@pytest.mark.parametrize("host", INSIDE)
def test_no_link_of_a_public_api_leads_inside(host: str) -> None:
    with pytest.raises(LinkError):
        check_link(f"https://{host}/x?sig=s", home=PUBLIC)


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("home", ["http://127.0.0.1:8090", "http://localhost", "https://10.1.2.3/api"])
def test_an_api_inside_may_give_links_inside(host: str, home: str) -> None:
    check_link(f"https://{host}/x", home=home)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://storage.example.com/a", "only https"),
        ("http://93.184.216.34/a", "only https"),
        ("http://10.0.0.1/a", "only https"),
        ("http://x.localhost/a", "only https"),
        ("https://me@storage.example.com/a", "names a user"),
        ("https://me:pass@storage.example.com/a", "names a user"),
        ("https://api.example.com@evil.example/a", "names a user"),
        ("https://@storage.example.com/a", "names a user"),
        ("ftp://storage.example.com/a", "its scheme is ftp"),
        ("//storage.example.com/a", "its scheme is missing"),
        ("https:///a", "names no host"),
    ],
)
def test_a_link_that_is_not_plain_https_is_refused(url: str, problem: str) -> None:
    with pytest.raises(LinkError, match=problem) as raised:
        check_link(url, home="http://127.0.0.1" if "only" in problem else PUBLIC)
    assert "example" not in str(raised.value)


@pytest.mark.parametrize("host", ["storage..example", f"{'a' * 64}.example"])
def test_a_host_that_cannot_exist_is_a_link_that_cannot_be_used(host: str) -> None:
    with requests.Session() as session, pytest.raises(LinkError, match="no host that can exist") as raised:
        Transfer(session=session, timeout=(1.0, 1.0)).send("GET", f"https://{host}/a?sig=SECRET", {})
    assert "SECRET" not in str(raised.value)


class Storage(BaseAdapter):
    """A public storage host that redirects; remembers who was asked."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.asked.append(str(request.url))
        response = requests.Response()
        response.status_code = 302 if len(self.asked) == 1 else 200
        response.request, response.url = request, str(request.url)
        response.headers["Location"] = self.location
        response.raw = io.BytesIO(b"secret of the inside")
        return response

    def close(self) -> None:
        pass


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The addresses of host names."""
    known = {"storage.example.com": "93.184.216.34", "api.example.com": "93.184.216.35"}

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return known


def storage(location: str) -> tuple[requests.Session, Storage]:
    session, host = requests.Session(), Storage(location)
    session.trust_env = False
    session.mount("https://", host)
    session.mount("http://", host)
    return session, host


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest/meta-data/SECRET",
        "https://inside.example/SECRET",
        "https://127.1/SECRET",
        "https://localhost/SECRET",
        "https://me@storage.example.com/SECRET",
        "//[::1]/SECRET",
    ],
)
@pytest.mark.parametrize("api_url", [PUBLIC, None])
def test_a_redirect_never_leads_inside_and_nothing_of_it_is_quoted(
    names: dict[str, str], tmp_path: Any, location: str, api_url: str | None
) -> None:
    names.update({"inside.example": "10.0.0.7", "127.1": "127.0.0.1"})
    session, host = storage(location)
    with pytest.raises(TransferError, match="the link cannot be used") as raised:
        download(
            session,
            lambda: "https://storage.example.com/a?sig=s",
            tmp_path / "a",
            expected_type=None,
            api_url=api_url,
        )
    assert host.asked == ["https://storage.example.com/a?sig=s"]
    assert "SECRET" not in str(raised.value)
    assert "inside.example" not in str(raised.value)


@pytest.mark.parametrize("location", ["https://other.example.com/b", "/b"])
def test_a_redirect_to_another_public_host_is_followed(names: dict[str, str], location: str) -> None:
    names["other.example.com"] = "93.184.216.36"
    session, host = storage(location)
    transfer = Transfer(session=session, timeout=(1, 1), api_url=PUBLIC)
    response = transfer.send("GET", "https://storage.example.com/a", {}, follow=True)
    assert (response.status_code, len(host.asked)) == (200, 2)


def test_the_first_link_may_name_a_host_that_a_private_network_answers_for(names: dict[str, str]) -> None:
    names["storage.example.com"] = "10.0.0.9"
    check_link("https://storage.example.com/a", home=PUBLIC)
