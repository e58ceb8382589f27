"""The process: two ports, signals, the data directory, the ready line."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import logging
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from airflow_provider.simulator.app import Application
from airflow_provider.simulator.clock import Clock
from airflow_provider.simulator.connections import Connections
from airflow_provider.simulator.control import Control
from airflow_provider.simulator.faults import Faults
from airflow_provider.simulator.keys import KeyRing
from airflow_provider.simulator.ledger import Ledger
from airflow_provider.simulator.limits import RateLimiter
from airflow_provider.simulator.mediamagic.service import MediaMagic
from airflow_provider.simulator.scripts import Scripts
from airflow_provider.simulator.settings import Settings
from airflow_provider.simulator.signing import Signer
from airflow_provider.simulator.silent_witness.service import SilentWitness
from airflow_provider.simulator.storage import Storage
from airflow_provider.simulator.webhook_faults import WebhookFaults
from airflow_provider.simulator.world import World


@dataclass(slots=True)
class Options:
    """How the process runs; what the services do is in :class:`Settings`."""

    host: str = "127.0.0.1"
    port: int = 8090
    storage_port: int = 0
    time_scale: float = 1.0
    #: kept at the end; ``None`` is a temporary one that is removed
    data_dir: Path | None = None
    #: keys known from the start; the services that they belong to accept no others
    keys: list[str] = field(default_factory=list)
    log_requests: bool = False
    #: stop when stdin ends, so that the server cannot outlive the test that started it
    exit_on_stdin_eof: bool = False


def build(options: Options, settings: Settings, data_dir: Path, storage_port: int) -> Application:
    """The application with everything in it."""
    clock = Clock(options.time_scale)
    first = Settings(**{name: getattr(settings, name) for name in Settings.__slots__})
    world = World(
        clock=clock,
        settings=settings,
        keys=KeyRing(),
        limiter=RateLimiter(clock),
        scripts=Scripts(),
        ledger=Ledger(clock),
        signer=Signer(clock),
        data_dir=data_dir,
        storage_port=storage_port,
    )
    faults = Faults()
    storage = Storage(world)
    mediamagic = MediaMagic(world, storage)
    silent_witness = SilentWitness(world, storage)

    def start() -> None:
        clock.reset()
        faults.clear()
        world.scripts = Scripts()
        world.webhook_faults = WebhookFaults()
        world.keys = KeyRing()
        world.limiter = RateLimiter(clock)
        world.ledger = Ledger(clock)
        for name in Settings.__slots__:
            setattr(settings, name, getattr(first, name))
        mediamagic.reset()
        silent_witness.reset()
        for service in _register(world.keys, options.keys):
            world.keys.restrict(service)

    def reset() -> None:
        for folder in ("blobs", "evidence", "reports"):
            shutil.rmtree(data_dir / folder, ignore_errors=True)
        start()

    start()
    return Application(
        world,
        faults,
        Connections(),
        control=Control(world, faults, [mediamagic, silent_witness], reset, options.host),
        mediamagic=mediamagic,
        silent_witness=silent_witness,
        storage=storage,
        close=mediamagic.close,
        log_requests=options.log_requests,
    )


def run(options: Options, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises OSError: a port is taken.
    :raises ValueError: an option is wrong.
    """
    if options.exit_on_stdin_eof and not _can_end():
        raise ValueError("standard input is no pipe, so that it has no end to stop at")
    _raise_file_limit()
    logging.getLogger("uvicorn.error").addFilter(_is_a_bug)
    api, storage = _listen(options.host, options.port), _listen(options.host, options.storage_port)
    if not ipaddress.ip_address(api.getsockname()[0]).is_loopback:
        print(
            f"simulator: bound to {options.host}, beyond this machine. It is a test tool: whoever reaches it "
            "may read and change all that it holds.",
            file=sys.stderr,
            flush=True,
        )
    with _data_dir(options.data_dir) as data_dir:
        application = build(options, settings, data_dir, storage.getsockname()[1])
        config = uvicorn.Config(
            application,
            http=application.protocol,
            loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=4096,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        anywhere = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1" if options.host in anywhere else options.host
        host = f"[{host}]" if ":" in host else host
        urls = [f"http://{host}:{sock.getsockname()[1]}" for sock in (api, storage)]
        server = _Server(config, options, application, *urls)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[api, storage])


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves by the front door on a signal."""

    def __init__(
        self, config: uvicorn.Config, options: Options, application: Application, url: str, storage_url: str
    ) -> None:
        super().__init__(config)
        self._application = application
        self._options = options
        self._ready = f"simulator listening on {url} storage {storage_url}"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signal again once it has stopped, which would skip our clean-up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._options.exit_on_stdin_eof:
            await self._watch_stdin()
        print(self._ready, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._application.close()

    async def _watch_stdin(self) -> None:
        server = self

        class Watch(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                server.should_exit = True

        await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)


def _can_end() -> bool:
    """Whether standard input has an end that is seen: of a file or of /dev/null there is none."""
    if sys.stdin is None:
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()


def _register(keys: KeyRing, specs: list[str]) -> set[str]:
    """Register ``KEY[=STATE]``.

    :return: the services that now have keys of their own.
    """
    services = set()
    for spec in specs:
        key, _, state = spec.partition("=")
        services.add(keys.register(key, state=state or "active"))
    return services


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


@contextlib.contextmanager
def _data_dir(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen
        return
    path = Path(tempfile.mkdtemp(prefix="airflow-provider-simulator-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _is_a_bug(record: logging.LogRecord) -> bool:
    """Of what uvicorn says, only an exception is news: cut-off answers and cancelled delays are faults."""
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, Exception)


def _raise_file_limit() -> None:
    """Thousands of waiting clients are thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
