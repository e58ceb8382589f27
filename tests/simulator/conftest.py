"""A simulator that stands still: at time scale 1 nothing ends by itself, tests skip the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider.simulator import Simulator
from tests.simulator.receiver import Receiver
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    with Simulator(time_scale=1) as simulator:
        yield simulator
        assert simulator.errors() == "", "the simulator must not stumble over any request of these tests"


@pytest.fixture
def sim(_running: Simulator) -> Simulator:
    """The simulator as if it had just started."""
    _running.reset()
    return _running


@pytest.fixture
def mediamagic(sim: Simulator) -> MediaMagicTalk:
    return MediaMagicTalk(sim)


@pytest.fixture
def silent_witness(sim: Simulator) -> SilentWitnessTalk:
    return SilentWitnessTalk(sim)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint for webhooks."""
    started = Receiver()
    yield started
    started.close()
