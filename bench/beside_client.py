"""What the documentation of Dataiku's client shows for running a scenario and waiting for its end. It knows of no bench."""

import os

import dataikuapi

client = dataikuapi.DSSClient(os.environ["DKU_DSS_URL"], os.environ["DKU_API_KEY"])
project = client.get_project("SHOP")
scenario = project.get_scenario("NIGHTLY")
run = scenario.run_and_wait()
print(run.outcome)
