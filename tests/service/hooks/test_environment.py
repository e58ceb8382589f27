"""Proxies, certificates and .netrc: what the environment may say, and where the connection wins."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import ssl
import subprocess
import traceback
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider.exceptions import ConfigurationError, SubmitOutcomeUnknownError, TransportError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from tests.service.hooks.conftest import Ask, HookMaker
from tests.service.hooks.odd_server import OddServer, Play, answer, cut, hang_up, tunnel_to

SUBMISSION = {"submissionId": "s1", "status": "processing", "assets": []}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and its key for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd server")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_an_unknown_authority_is_refused_and_nothing_was_sent(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext
) -> None:
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        with pytest.raises(TransportError, match=r"TLS.*`verify`") as caught:
            ask(make_hook(MediaMagicHook, server.url, max_retries=0), "get_submission", "s1")

        assert server.requests == []
    assert caught.value.sent is False


def test_the_connection_may_name_a_ca_file(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, certificate: Path
) -> None:
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate))

        assert ask(hook, "get_submission", "s1") == SUBMISSION


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_connection_may_name_a_folder_of_ca_files(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, certificate: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(certificate.read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        hook = make_hook(MediaMagicHook, server.url, verify=str(tmp_path))

        assert ask(hook, "get_submission", "s1") == SUBMISSION


def test_the_environment_may_name_a_ca_file(
    make_hook: HookMaker,
    ask: Ask,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        assert ask(make_hook(MediaMagicHook, server.url), "get_submission", "s1") == SUBMISSION


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_connection_wins_over_the_environment(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    import certifi

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        hook = make_hook(MediaMagicHook, server.url, verify=False)

        assert ask(hook, "get_submission", "s1") == SUBMISSION


def test_a_ca_file_that_went_away_is_a_matter_of_configuration(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        hook = make_hook(MediaMagicHook, server.url, verify=str(tmp_path / "gone.pem"))
        with pytest.raises(ConfigurationError, match=r"gone\.pem"):
            ask(hook, "get_submission", "s1")


def test_netrc_adds_nothing(
    make_hook: HookMaker, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\ndefault login ann password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with OddServer(answer(200, SUBMISSION)) as server:
        ask(make_hook(MediaMagicHook, server.url), "get_submission", "s1")

        assert "authorization" not in server.requests[0].headers


def test_netrc_adds_nothing_where_storage_redirects_to(
    make_hook: HookMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with (
        OddServer(answer(200, b"file")) as second,
        OddServer(answer(302, Location=f"{second.url}/file")) as first,
    ):
        hook = make_hook(MediaMagicHook, first.url)
        assert hook.storage_session.get(f"{first.url}/link").content == b"file"

        seen = [first.requests[0].headers, second.requests[0].headers]
    assert all("authorization" not in headers and "x-api-key" not in headers for headers in seen)


def test_a_proxy_of_the_environment_is_used(
    make_hook: HookMaker,
    ask: Ask,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with OddServer(answer(200, SUBMISSION), tls=tls) as server, OddServer(tunnel_to(server)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate))
        assert ask(hook, "get_submission", "s1") == SUBMISSION

        (seen,) = proxy.requests
        assert (seen.method, seen.target) == ("CONNECT", f"127.0.0.1:{server.port}")
    assert "x-api-key" not in seen.headers


def test_no_proxy_is_obeyed(
    make_hook: HookMaker,
    ask: Ask,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with OddServer() as proxy, OddServer(answer(200, SUBMISSION), tls=tls) as server:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        ask(make_hook(MediaMagicHook, server.url, verify=str(certificate)), "get_submission", "s1")

        assert proxy.requests == []


def test_the_proxy_of_the_connection_wins(
    make_hook: HookMaker,
    ask: Ask,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        OddServer() as other,
        OddServer(answer(200, SUBMISSION), tls=tls) as server,
        OddServer(tunnel_to(server)) as proxy,
    ):
        monkeypatch.setenv("https_proxy", other.url)
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate), proxies={"all": proxy.url})
        ask(hook, "get_submission", "s1")

        assert len(proxy.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_a_proxy_that_only_one_half_could_use_is_refused_before_anything_is_sent(
    make_hook: HookMaker, ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "socks5h://ann:TOPSECRET@127.0.0.1:9")
    hook = make_hook(MediaMagicHook, "https://api.invalid")

    with pytest.raises(ConfigurationError, match=f"`{name}` names a proxy .*socks5h") as caught:
        ask(hook, "get_submission", "s1")
    assert "TOPSECRET" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=name):
        hook.create_submission([{"blobPath": "w/a.mp4"}])


@pytest.mark.parametrize(
    "proxy", ["http://ann:TOP/SECRET@proxy:1", "http://", "http://:1", "http://pro\\xy:1", "ann:TOP/SECRET@p"]
)
def test_a_proxy_that_is_no_url_is_refused_without_its_password(
    make_hook: HookMaker, ask: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="`HTTPS_PROXY` names a proxy that is not") as caught:
        ask(make_hook(MediaMagicHook, "https://api.invalid"), "get_submission", "s1")
    assert "SECRET" not in str(caught.value)


def test_no_error_shows_the_password_of_a_proxy_of_the_environment(
    make_hook: HookMaker, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the proxy itself repeats it."""
    said = answer(502, b"no way through for ann:TOPSECRET", Location="http://ann:TOPSECRET@x")
    with OddServer(said) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:TOPSECRET@127.0.0.1:{proxy.port}")
        hook = make_hook(MediaMagicHook, "https://api.invalid", max_retries=0)
        with pytest.raises(TransportError) as caught:
            ask(hook, "get_submission", "s1")
    assert "TOPSECRET" not in "".join(traceback.format_exception(caught.value))
    assert "TOPSECRET" in hook.settings.secrets


def test_a_proxy_that_the_environment_excludes_the_host_from_is_not_refused(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with OddServer(answer(200, SUBMISSION), tls=tls) as server:
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate))

        assert ask(hook, "get_submission", "s1") == SUBMISSION


@pytest.mark.parametrize("named_by", ["environment", "connection"])
def test_plain_http_to_this_machine_takes_no_proxy(
    make_hook: HookMaker, ask: Ask, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    with OddServer() as proxy, OddServer(answer(200, SUBMISSION)) as server:
        monkeypatch.setenv("http_proxy", proxy.url if named_by == "environment" else "")
        proxies = {"all": proxy.url} if named_by == "connection" else {}
        for host in ("127.0.0.1", "localhost"):
            server.plays = [answer(200, SUBMISSION)]
            hook = make_hook(MediaMagicHook, f"http://{host}:{server.port}", proxies=proxies)
            ask(hook, "get_submission", "s1")

        assert proxy.requests == []


@pytest.mark.parametrize("lost", [pytest.param(hang_up, id="no-answer"), pytest.param(cut(201), id="cut")])
def test_a_paid_call_whose_answer_is_lost_behind_a_tunnel_has_an_unknown_outcome(
    make_hook: HookMaker, tls: ssl.SSLContext, certificate: Path, lost: Play
) -> None:
    with (
        OddServer(*[lost] * 5, tls=tls) as server,
        OddServer(*[tunnel_to(server)] * 5) as proxy,
    ):
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate), proxies={"all": proxy.url})
        with pytest.raises(SubmitOutcomeUnknownError) as caught:
            hook.create_submission([{"blobPath": "w/a.mp4"}])

        assert [seen.method for seen in server.requests] == ["POST"]
        assert [seen.method for seen in proxy.requests] == ["CONNECT"]
    assert "Unable to connect" not in str(caught.value)


@pytest.mark.parametrize("status", [407, 502])
def test_a_proxy_that_refuses_to_connect_has_passed_nothing_on(
    make_hook: HookMaker, ask: Ask, tls: ssl.SSLContext, certificate: Path, status: int
) -> None:
    refusal = answer(status, keep=False)
    with OddServer(tls=tls) as server, OddServer(refusal) as proxy:
        proxies = {"all": proxy.url.replace("//", "//ann:TOPSECRET@")}
        settings = {"verify": str(certificate), "proxies": proxies, "max_retries": 0}
        with pytest.raises(TransportError, match=f"could not connect.*{status}") as caught:
            ask(make_hook(MediaMagicHook, server.url, **settings), "get_submission", "s1")

        assert server.requests == []
    assert caught.value.sent is False
    assert "TOPSECRET" not in str(caught.value)


def test_a_paid_call_is_sent_again_after_a_proxy_refused_to_connect(
    make_hook: HookMaker, tls: ssl.SSLContext, certificate: Path
) -> None:
    with (
        OddServer(answer(201, SUBMISSION), tls=tls) as server,
        OddServer(answer(407, keep=False), tunnel_to(server)) as proxy,
    ):
        hook = make_hook(MediaMagicHook, server.url, verify=str(certificate), proxies={"all": proxy.url})
        hook.create_submission([{"blobPath": "w/a.mp4"}])

        assert len(server.requests) == 1


def test_a_proxy_that_is_not_there_was_not_reached(make_hook: HookMaker, ask: Ask, free_port: int) -> None:
    proxies = {"all": f"http://ann:TOPSECRET@127.0.0.1:{free_port}"}
    hook = make_hook(MediaMagicHook, "https://api.invalid", proxies=proxies, max_retries=0)

    with pytest.raises(TransportError, match="could not connect") as caught:
        ask(hook, "get_submission", "s1")

    assert caught.value.sent is False
    assert "TOPSECRET" not in str(caught.value)


def test_a_paid_call_without_its_proxy_was_not_sent(make_hook: HookMaker, free_port: int) -> None:
    proxies = {"all": f"http://127.0.0.1:{free_port}"}
    hook = make_hook(MediaMagicHook, "https://api.invalid", proxies=proxies, max_retries=0)

    with pytest.raises(TransportError, match="could not connect") as caught:
        hook.create_submission([{"blobPath": "w/a.mp4"}])

    assert caught.value.sent is False
