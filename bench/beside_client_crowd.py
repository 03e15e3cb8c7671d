"""As many threads as scenarios, each waiting as the documentation of Dataiku's client shows; prints each scenario as it ends."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import dataikuapi


def wait(name: str) -> None:
    # One for each thread: the session within is that of requests, which makes no promise to threads.
    client = dataikuapi.DSSClient(os.environ["DKU_DSS_URL"], os.environ["DKU_API_KEY"])
    run = client.get_project("SHOP").get_scenario(name).run_and_wait()
    # In one piece: print writes the end of a line by itself, and threads would mix theirs.
    sys.stdout.write(f'{{"scenario": "{name}", "outcome": "{run.outcome}"}}\n')
    sys.stdout.flush()


names = [f"S{number}" for number in range(int(sys.argv[1]))]
with ThreadPoolExecutor(len(names)) as threads:
    list(threads.map(wait, names))
