"""A scenario of DSS, deferred while it runs. `dss` is a connection: host https://HOST/public/api, password the API key."""

from datetime import datetime, timedelta

from airflow.sdk import DAG

from treadle.airflow import WorkflowOperator

with DAG(
    "dss_nightly_deferred", schedule="15 3 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1
) as dag:
    WorkflowOperator(
        task_id="nightly",
        document="dataiku",
        workflow_id="run-scenario-and-poll",
        inputs={"projectKey": "SALES", "scenarioId": "NIGHTLY"},
        connection_id="dss",
        secret_input="apiKey",
        # A fire that was cancelled, or a run that FAILED or was ABORTED, is a result: a retry runs the scenario again.
        # After anything else a retry goes on waiting for the run that is on.
        anew_after=["checkTrigger", "confirmOutcome"],
        retries=2,
        retry_delay=timedelta(minutes=5),
        wait_timeout=timedelta(hours=2),
        options={"poll_interval": 5, "poll_max_interval": 60},
    )
