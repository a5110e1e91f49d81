#!/usr/bin/env bash
# Write the .env of the compose file: new random secrets, this user, the group of Docker's socket, and the use case.
#
#   deploy/airflow/environment.sh FOLDER_OF_USE_CASE > deploy/airflow/.env
set -euo pipefail
umask 077

folder=$(cd "${1:?usage: environment.sh FOLDER_OF_USE_CASE > .env}" && pwd)
[[ -e $folder/usecase.yaml ]] || { echo "$folder has no usecase.yaml: name the folder of a use case" >&2 && exit 2; }
socket=${DOCKER_SOCKET:-/var/run/docker.sock}
random() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'; }

cat <<VALUES
# Secrets of the local stack; whoever has this file has all of it. Written by environment.sh; keep it out of version control.
COMPOSE_PROJECT_NAME=datadriver
USECASE=$folder
USER_ID=$(id -u)
DOCKER_SOCKET=$socket
DOCKER_GROUP=$(stat -L -c %g "$socket" 2>/dev/null || echo 0)
ADMIN_PASSWORD=$(random 12)
FERNET_KEY=$(random 32)
JWT_SECRET=$(random 48)
SECRET_KEY=$(random 32)
POSTGRES_PASSWORD=$(random 18)
AIRFLOW_PASSWORD=$(random 18)
MLFLOW_PASSWORD=$(random 18)
DATADRIVER_PASSWORD=$(random 18)
VALUES
