#!/usr/bin/env bash
# Run once by PostgreSQL's image, when its volume is empty: a role and a database each for Airflow, MLflow and datadriver.
set -euo pipefail

for name in airflow mlflow datadriver; do
    password=$(printenv "${name^^}_PASSWORD")
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
        --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
# The session of a scheduler that was killed may be held open by its orphans, with its locks: DAG runs would hang.
psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
    --command "ALTER DATABASE airflow SET idle_in_transaction_session_timeout = '30s'"
