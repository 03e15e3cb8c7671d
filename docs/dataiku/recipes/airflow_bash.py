"""Scenarios of DSS on a worker. `dss` is a connection whose host is https://dss.example.com, and whose password is the key."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "dss_nightly", schedule="15 3 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1
) as dag:
    BashOperator(
        task_id="scenarios",
        bash_command="exec treadle dataiku run SALES NIGHTLY WEEKLY_REPORT --timeout 3600",
        env={"DKU_DSS_URL": "{{ conn.dss.host }}", "DKU_API_KEY": "{{ conn.dss.password }}"},
        append_env=True,
        retries=0,  # a retry would trigger them again
        # More than --timeout, so that Treadle is the one who says what was not over.
        execution_timeout=timedelta(minutes=75),
    )
