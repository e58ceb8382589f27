"""A connection in every form that Airflow keeps it, to checked settings."""

from __future__ import annotations

import base64
import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider.core.http.connection import ConnectionSettings, Service, _warn_unverified
from airflow_provider.core.http.extras import Extras
from airflow_provider.exceptions import ConfigurationError
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC
from airflow_provider.hooks.mediamagic_extras import MediaMagicExtras
from airflow_provider.hooks.silent_witness import SILENT_WITNESS

KEY = "sk_test_0123456789"
NO_FIELDS: dict[str, Any] = {}
SERVICES = {service.conn_type: service for service in (MEDIAMAGIC, SILENT_WITNESS)}


def settings(conn_type: str = "mediamagic", **fields: Any) -> ConnectionSettings:
    if isinstance(fields.get("extra"), dict):
        fields["extra"] = json.dumps(fields["extra"])
    fields.setdefault("password", KEY)
    connection = Connection(conn_id="c1", conn_type=conn_type, **fields)
    return ConnectionSettings.from_connection(connection, SERVICES[conn_type])


def from_uri(uri: str) -> ConnectionSettings:
    service = MEDIAMAGIC if uri.startswith("mediamagic") else SILENT_WITNESS
    return ConnectionSettings.from_connection(Connection.from_uri(uri, conn_id="c1"), service)


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        pytest.param(NO_FIELDS, MEDIAMAGIC.base_url, id="nothing"),
        pytest.param({"host": "  "}, MEDIAMAGIC.base_url, id="blank"),
        pytest.param({"host": "api.example.com"}, "https://api.example.com", id="bare"),
        pytest.param({"host": "API.example.com/"}, "https://api.example.com", id="slash"),
        pytest.param({"host": "https://api.example.com/api"}, "https://api.example.com", id="api"),
        pytest.param({"host": "https://api.example.com/api/"}, "https://api.example.com", id="api-slash"),
        pytest.param({"host": "gw.example.com/sw/api"}, "https://gw.example.com/sw", id="prefix"),
        pytest.param({"host": "gw.example.com/myapi"}, "https://gw.example.com/myapi", id="not-the-suffix"),
        pytest.param({"host": "api.example.com", "port": 8443}, "https://api.example.com:8443", id="port"),
        pytest.param({"host": "api.example.com:8443"}, "https://api.example.com:8443", id="port-in-host"),
        pytest.param(
            {"host": "api.example.com:8443", "port": 8443}, "https://api.example.com:8443", id="port-twice"
        ),
        pytest.param(
            {"host": "api.example.com:8443", "port": "8443"},
            "https://api.example.com:8443",
            id="text-port",
        ),
        pytest.param({"host": "api.example.com", "port": " "}, "https://api.example.com", id="blank-port"),
        pytest.param({"host": "api.example.com", "schema": "https"}, "https://api.example.com", id="schema"),
        pytest.param({"host": "api.example.com", "schema": "api"}, "https://api.example.com", id="path"),
        pytest.param({"host": "localhost", "port": 8090}, "http://localhost:8090", id="localhost"),
        pytest.param({"host": "127.0.0.1:8090"}, "http://127.0.0.1:8090", id="loopback"),
        pytest.param({"host": "::1", "port": 8090}, "http://[::1]:8090", id="ipv6"),
        pytest.param({"host": "[::1]:8090"}, "http://[::1]:8090", id="ipv6-in-brackets"),
        pytest.param({"host": "127.0.0.1", "schema": "https"}, "https://127.0.0.1", id="loopback-tls"),
        pytest.param({"host": "http://localhost:8090/api"}, "http://localhost:8090", id="loopback-url"),
        pytest.param({"host": "faß.de"}, "https://xn--fa-hia.de", id="idn-2008"),
        pytest.param({"host": "https://BÜCHER.example:1/gw"}, "https://xn--bcher-kva.example:1/gw", id="idn"),
        pytest.param({"host": "x.localhost"}, "https://x.localhost", id="not-loopback"),
        pytest.param({"host": "my_api"}, "https://my_api", id="underscore"),
    ],
)
def test_the_base_url_comes_from_host_port_and_schema(fields: dict[str, Any], base_url: str) -> None:
    assert settings(**fields).base_url == base_url


@pytest.mark.parametrize("service", [MEDIAMAGIC, SILENT_WITNESS], ids=lambda service: service.conn_type)
def test_each_service_has_its_own_defaults(service: Service) -> None:
    found = settings(service.conn_type)

    assert found.base_url == service.base_url
    assert (found.requests_per_minute, found.requests_per_hour) == (
        service.requests_per_minute,
        service.requests_per_hour,
    )
    assert (found.connect_timeout, found.read_timeout, found.verify, found.max_retries) == (10, 60, True, 4)


def test_silent_witness_limits_are_the_documented_ones() -> None:
    assert (SILENT_WITNESS.requests_per_minute, SILENT_WITNESS.requests_per_hour) == (100, 1000)


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        (f"mediamagic://:{KEY}@127.0.0.1:8090/", "http://127.0.0.1:8090"),
        (f"mediamagic://:{KEY}@127.0.0.1:8090/api", "http://127.0.0.1:8090"),
        (f"silent-witness://:{KEY}@api.example.com", "https://api.example.com"),
        (f"silent-witness://:{KEY}@/", SILENT_WITNESS.base_url),
        (f"mediamagic://https://:{KEY}@gw.example.com/", "https://gw.example.com"),
    ],
)
def test_a_connection_uri(uri: str, base_url: str) -> None:
    found = from_uri(uri)

    assert (found.base_url, found.api_key) == (base_url, KEY)


def test_an_underscore_in_a_uri_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="hyphen") as caught:
        from_uri(f"silent_witness://:{KEY}@127.0.0.1:8090/?verify=false")

    assert KEY not in str(caught.value)


def test_values_in_a_uri_are_text_and_understood() -> None:
    found = from_uri(
        f"silent-witness://:{KEY}@localhost:8090/?connect_timeout=3&read_timeout=30.5&verify=false"
        "&max_retries=2&requests_per_minute=0&requests_per_hour=500&proxies=http%3A%2F%2Fproxy%3A3128"
    )

    assert (found.connect_timeout, found.read_timeout, found.verify) == (3, 30.5, False)
    assert (found.max_retries, found.requests_per_minute, found.requests_per_hour) == (2, None, 500)
    assert found.proxies == {"all": "http://proxy:3128"}


def test_the_json_form() -> None:
    connection = Connection.from_json(
        json.dumps({"conn_type": "silent-witness", "password": KEY, "extra": {"verify": "true"}}),
        conn_id="c1",
    )

    assert ConnectionSettings.from_connection(connection, SILENT_WITNESS).verify is True


def test_a_ca_file_must_exist(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()

    assert settings(extra={"verify": str(bundle)}).verify == str(bundle)
    with pytest.raises(ConfigurationError, match="`verify`"):
        settings(extra={"verify": str(tmp_path / "missing.pem")})


def test_a_folder_of_ca_files_must_be_one_for_openssl(tmp_path: Path) -> None:
    """Certificates under names of their own are not found there, and no host would be trusted."""
    (tmp_path / "our-ca.pem").touch()
    with pytest.raises(ConfigurationError, match=r"`verify` must be .* after `openssl rehash`"):
        settings(extra={"verify": str(tmp_path)})
    (tmp_path / "0a775a30.0").symlink_to("our-ca.pem")
    assert settings(extra={"verify": str(tmp_path)}).verify == str(tmp_path)


def test_zero_turns_a_limit_off_and_absence_keeps_the_default() -> None:
    found = settings("silent_witness", extra={"requests_per_minute": 0})

    assert (found.requests_per_minute, found.requests_per_hour) == (None, 1000)


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("conn_type", ["mediamagic", "silent_witness"])
def test_empty_fields_of_a_form_keep_every_default(conn_type: str, empty: str | None) -> None:
    form = dict.fromkeys(SERVICES[conn_type].extras().described(), empty)

    assert settings(conn_type, extra=form) == settings(conn_type)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", 301),
        ("connect_timeout", "soon"),
        ("connect_timeout", True),
        ("read_timeout", -1),
        ("read_timeout", float("nan")),
        ("max_retries", 1.5),
        ("max_retries", 21),
        ("requests_per_minute", -1),
        ("requests_per_minute", "many"),
        ("requests_per_minute", "null"),
        ("requests_per_hour", [1]),
        ("requests_per_hour", 10**400),
        ("verify", 1),
        ("verify", "maybe"),
        ("proxies", "proxy:3128"),
        ("proxies", "{"),
        ("proxies", {"ftp": "http://proxy"}),
        ("proxies", {"https": "socks5://proxy"}),
        ("proxies", ["http://proxy"]),
        ("webhook_secret", 1),
    ],
)
def test_an_extra_of_the_wrong_type_or_size_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"'c1'.*`{name}`") as caught:
        settings(extra={name: value})

    assert caught.value.parameter == name


def test_an_unknown_extra_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="unknown extra `timeout`") as caught:
        settings(extra={"timeout": 3})

    assert all(name in str(caught.value) for name in MediaMagicExtras.described())


@pytest.mark.parametrize("name", ["webhook_secret", "webhook_secret_variable"])
def test_a_service_without_webhooks_takes_no_secret_of_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown extra `{name}`") as caught:
        settings("silent_witness", extra={name: SECRET})

    assert SECRET not in str(caught.value)
    assert set(MediaMagicExtras.described()) - set(Extras.described()) == {
        "webhook_secret",
        "webhook_secret_variable",
    }


@pytest.mark.parametrize("name", sorted(MediaMagicExtras.described()))
def test_no_error_about_an_extra_shows_its_value(name: str) -> None:
    hidden = "".join(("TOP", "SECRET"))  # put together, so that a traceback shows it only if it leaks
    with pytest.raises(ConfigurationError) as caught:
        settings(extra={name: {"inner": hidden}})

    assert caught.value.parameter == name
    printed = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert hidden not in printed


def test_an_extra_that_a_secrets_backend_has_parsed_is_read() -> None:
    connection: Any = Connection(conn_id="c1", conn_type="mediamagic", password=KEY)
    connection.extra = {"read_timeout": 5, "proxies": {"https": "http://proxy:3128"}}
    found = ConnectionSettings.from_connection(connection, MEDIAMAGIC)
    assert (found.read_timeout, found.proxies) == (5.0, {"https": "http://proxy:3128"})


@pytest.mark.parametrize("extra", [None, "", " ", "null", "{}"])
def test_an_empty_extra_keeps_every_default(extra: str | None) -> None:
    assert settings(extra=extra) == settings()


@pytest.mark.parametrize("extra", ["{not json", "[1]", '"text"'])
def test_an_extra_that_is_no_object_is_refused_without_quoting_it(extra: str) -> None:
    with pytest.raises(ConfigurationError, match="`extra`") as caught:
        settings(extra=extra)

    assert "not json" not in str(caught.value)


@pytest.mark.parametrize("password", [None, "", "  \n"])
def test_without_a_key_the_connection_and_the_field_are_named(password: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"'c1'.*`password`") as caught:
        settings(password=password)

    assert caught.value.parameter == "password"


def test_a_key_in_the_login_is_found_out() -> None:
    with pytest.raises(ConfigurationError, match="`login` is set") as caught:
        from_uri(f"mediamagic://{KEY}@127.0.0.1:8090/")

    assert KEY not in str(caught.value)


def test_a_pasted_key_loses_its_line_end() -> None:
    assert settings(password=f" {KEY}\n").api_key == KEY


def test_the_mask_of_a_key_is_no_key() -> None:
    with pytest.raises(ConfigurationError, match="enter the key again") as caught:
        settings(password="***")

    assert caught.value.parameter == "password"


def test_a_key_that_cannot_be_a_header_is_refused_without_quoting_it() -> None:
    with pytest.raises(ConfigurationError, match="`password`") as caught:
        settings(password="sk_test\r\nX-Evil: 1")

    assert "X-Evil" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "http://api.example.com",
        "http://10.0.0.1:8090",
        "http://localhost.evil.com",
        "http://x.localhost",
        "http://localhost.",
        "http://127.1",
    ],
)
def test_a_key_never_travels_over_plain_http_to_another_machine(host: str) -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        settings(host=host)


def test_the_rule_about_plain_http_holds_for_settings_made_by_hand() -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        ConnectionSettings("c1", "http://api.example.com", KEY)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "ftp://api.example.com"},
        {"host": "https://user:secret-word@api.example.com"},
        {"host": "https://api.example.com?key=secret-word"},
        {"host": "https://api.example.com#x"},
        {"host": "https://"},
        {"host": "https://api.example.com:port"},
        {"host": "api example.com"},
        {"host": "https://api.exa\0mple.com"},
        {"host": "https://api.exa\nmple.com"},
        {"host": "https://api.exa\tmple.com"},
        {"host": "https://api.example.com/\x1b[31m"},
        {"host": "https://api.example.com\\@evil.example"},
        {"host": "https://api.example.com/\u202egw"},
        {"host": "https://ex%61mple.com"},
        {"host": "https://\u2488.example.com"},
        {"host": "https://-\u00df.de"},
        {"host": "https://[::1%25eth0]"},
        {"host": "https://gw.example.com/a/../b"},
        {"host": "https://gw.example.com/ü"},
        {"host": "https://gw.example.com/%zz"},
        {"host": "api.example.com:1", "port": 2},
        {"host": "http://localhost", "schema": "https"},
        {"port": 8090},
        {"schema": "api"},
    ],
)
def test_a_host_that_makes_no_sense_is_refused_without_quoting_secrets(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="'c1'") as caught:
        settings(**fields)

    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("conn_type", ["mediamagic", "generic", "", None])
def test_a_hook_takes_its_own_type_or_none_in_particular(conn_type: str | None) -> None:
    connection = Connection(conn_id="c1", conn_type=conn_type, password=KEY)

    assert ConnectionSettings.from_connection(connection, MEDIAMAGIC).base_url == MEDIAMAGIC.base_url


@pytest.mark.parametrize("conn_type", ["silent_witness", "postgres"])
def test_the_password_of_another_service_is_not_sent(conn_type: str) -> None:
    connection = Connection(conn_id="c1", conn_type=conn_type, password=KEY)

    with pytest.raises(ConfigurationError, match=f"'{conn_type}'.*'mediamagic'"):
        ConnectionSettings.from_connection(connection, MEDIAMAGIC)


SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()


@pytest.mark.parametrize(
    "given", [SECRET, [SECRET], f'["{SECRET}"]', f" {SECRET} "], ids=["text", "list", "JSON", "with blanks"]
)
def test_webhook_secrets_are_one_or_several(given: Any) -> None:
    assert settings(extra={"webhook_secret": given}).webhook_secrets == (SECRET,)


@pytest.mark.parametrize(
    "given", ["whsec_", "whsec_c2hvcnQ=", "not base64!", [], {}, [1], [SECRET] * 6, "[", "[1]"]
)
def test_an_unusable_webhook_secret_is_refused_and_not_quoted(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="`webhook_secret` must be") as caught:
        settings(extra={"webhook_secret": given})
    assert "c2hvcnQ" not in str(caught.value)


@pytest.mark.parametrize(("count", "good"), [(50, True), (51, False)])
def test_webhook_secrets_by_subscription_may_be_many(count: int, good: bool) -> None:
    secrets = [
        "whsec_" + base64.b64encode(f"secret number {number:4}".encode()).decode() for number in range(count)
    ]
    given = {"webhook_secret": {f"subscription-{number}": one for number, one in enumerate(secrets)}}
    if good:
        assert settings(extra=given).webhook_secrets == tuple(secrets)
    else:
        with pytest.raises(ConfigurationError, match="up to 50 by subscription"):
            settings(extra=given)


def test_webhooks_are_on_with_a_secret_or_the_name_of_its_variable() -> None:
    assert not settings().receives_webhooks
    assert settings(extra={"webhook_secret": SECRET}).receives_webhooks
    assert settings(extra={"webhook_secret_variable": "mm_secret"}).receives_webhooks


def test_no_secret_is_shown() -> None:
    found = settings(extra={"webhook_secret": SECRET, "proxies": {"all": "http://user:pr%40xy@proxy:3128"}})

    assert found.webhook_secrets == (SECRET,)
    for secret in (KEY, SECRET, "pr%40xy"):
        assert secret not in repr(found)
        assert secret not in str(found)
    assert set(found.secrets) == {KEY, SECRET, SECRET.removeprefix("whsec_"), "pr%40xy", "pr@xy"}


def test_the_identity_follows_host_and_key_and_gives_neither_away() -> None:
    one = settings(host="api.example.com")

    assert one.identity == settings(host="https://api.example.com/api/", extra={"max_retries": 1}).identity
    assert one.identity != settings(host="api.example.com", password="sk_test_other").identity
    assert one.identity != settings(host="api2.example.com").identity
    assert len(one.identity) == 16
    assert KEY not in one.identity


def test_the_route_follows_certificates_and_proxies_and_gives_no_password_away() -> None:
    one = settings()
    assert one.route == settings(extra={"read_timeout": 5}).route
    others = [{"verify": False}, {"proxies": "http://u:pass-word@proxy"}, {"proxies": "http://proxy:1"}]
    assert len({one.route, *(settings(extra=extra).route for extra in others)}) == 4
    assert "pass-word" not in settings(extra=others[1]).route


def test_a_connection_without_certificate_checks_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    _warn_unverified.cache_clear()
    for extra in ({"verify": True}, {"verify": False}, {"verify": False}):
        settings(extra=extra)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Connection 'c1' does not check certificates"
    ]


def test_the_password_of_a_proxy_of_the_environment_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:pr%40xy@proxy:3128")
    monkeypatch.setenv("all_proxy", "bob:pass/word@proxy:3128")
    assert {"pr%40xy", "pr@xy", "pass/word"} <= set(settings().secrets)
