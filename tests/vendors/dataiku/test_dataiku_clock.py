"""The clocks of a served world."""

from __future__ import annotations

import math
import time

import pytest

from treadle.vendors.dataiku.simulator.clock import RealClock, VirtualClock


def test_a_virtual_clock_moves_only_when_told():
    clock = VirtualClock(start=100.0)
    clock.request()
    assert clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5


def test_a_virtual_clock_ticks_with_requests_and_not_with_reading():
    clock = VirtualClock(start=100.0, tick=5)
    assert [clock.now(), clock.now()] == [100.0, 100.0]
    clock.request()
    assert clock.now() == 105.0


def test_a_real_clock_starts_now_and_runs_at_its_speed(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    clock = RealClock(speed=10)
    monkeypatch.setattr(time, "monotonic", lambda: 9.0)
    clock.request()
    assert clock.now() == 1020.0


def test_a_wall_clock_set_back_does_not_turn_a_real_clock_back(monkeypatch):
    clock = RealClock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() >= before


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_time_does_not_go_back(seconds):
    with pytest.raises(ValueError, match="time does not go back"):
        VirtualClock().advance(seconds)
    with pytest.raises(ValueError, match="time does not go back"):
        VirtualClock(tick=seconds)
    with pytest.raises(ValueError, match="above zero"):
        RealClock(speed=seconds)
