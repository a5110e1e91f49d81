"""Orchestration: the plan of DAGs as plain data, and in `airflow` the only modules that know Airflow."""
