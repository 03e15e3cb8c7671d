"""What Dataiku's own client makes of faults: why the waits of Treadle are written as they are."""

from __future__ import annotations

import dataikuapi
import msgspec
import pytest
import requests
import urllib3
from dataikuapi.utils import DataikuException

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import running


@pytest.mark.parametrize("fault", ["do=502", "do=429,retry_after=1", "do=drop", "do=truncate"])
def test_one_fault_in_the_middle_ends_the_wait_of_the_client_while_the_run_goes_on(make_client, fault):
    met = config.read_fault(fault + ",path=*/get-run-for-trigger,first=2,count=1")
    with running(msgspec.structs.replace(config.default(), faults=(met,)), clock=VirtualClock(tick=1)) as simulator:
        scenario = make_client(simulator).get_project("DEMO").get_scenario("NIGHTLY")
        with pytest.raises((DataikuException, requests.exceptions.RequestException)):
            scenario.run_and_wait()
        simulator.clock.advance(99)
        assert scenario.get_last_finished_run().outcome == "SUCCESS"


def test_an_answer_lost_after_the_effect_leaves_a_run_that_the_client_does_not_know(make_client):
    fault = config.read_fault("do=drop,method=POST,path=*/run,effect=true,count=1")
    with running(msgspec.structs.replace(config.default(), faults=(fault,)), clock=VirtualClock()) as simulator:
        scenario = make_client(simulator).get_project("DEMO").get_scenario("NIGHTLY")
        with pytest.raises(requests.exceptions.ConnectionError):
            scenario.run()
        simulator.clock.advance(3)
        assert scenario.get_current_run() is not None


def test_a_certificate_that_nobody_trusts(simulator):
    with running(clock=VirtualClock(), tls=True) as safe:
        client = dataikuapi.DSSClient(safe.url, "demo-key")
        with pytest.raises(requests.exceptions.SSLError):
            client.get_auth_info()
        client._session.close()
        client = dataikuapi.DSSClient(safe.url, "demo-key", no_check_certificate=True)
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert client.get_auth_info()["authIdentifier"] == "demo"
        client._session.close()
