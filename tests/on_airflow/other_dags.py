"""DAGs besides the recipes: a workflow that takes the key as a credential, and whose request may wait before it is sent."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from treadle.airflow import WorkflowOperator

with DAG("only_trigger", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as only_trigger:
    WorkflowOperator(
        task_id="trigger",
        document=str(Path(__file__).with_name("trigger.arazzo.yaml")),
        inputs={"projectKey": "SALES", "scenarioId": "NIGHTLY"},
        connection_id="dss",
        credential_scheme="bearer",
        options={"source": {"dss": "dataiku"}},
        retries=2,
        retry_delay=timedelta(0),
    )

with DAG("refused", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as refused:
    WorkflowOperator(
        task_id="trigger",
        document="dataiku",
        workflow_id="no-such",
        connection_id="dss",
        retries=2,
        retry_delay=timedelta(0),
    )

with DAG("short_wait", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as short_wait:
    WorkflowOperator(
        task_id="run",
        document="dataiku",
        inputs={"projectKey": "SALES", "scenarioId": "NIGHTLY"},
        connection_id="dss",
        secret_input="apiKey",
        retries=20,
        retry_delay=timedelta(0),
        wait_timeout=timedelta(seconds=3),
        options={"poll_interval": 0.1, "poll_max_interval": 0.5},
    )
