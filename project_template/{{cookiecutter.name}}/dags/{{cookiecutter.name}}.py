"""Airflow: the DAGs of the plan beside this file.

`datadriver dags build` writes the plan to `dags/plan/`, each part of it with a copy of this file; keep both in git, so
that Airflow gets them with the code. Here, where no plan lies beside it, the file gives no DAGs.
"""

from datadriver.orchestration.airflow.loader import load

globals().update(load(__file__))
