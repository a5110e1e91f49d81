"""Airflow: the whole chain once a night. A retry repeats nothing that is done, and tries again what failed."""

from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "{{ cookiecutter.name }}",
    schedule="0 3 * * *",
    start_date=pendulum.datetime(2025, 1, 1),
    catchup=False,
) as dag:
    BashOperator(task_id="run", bash_command="datadriver run", cwd=str(Path(__file__).parents[1]), retries=1)
