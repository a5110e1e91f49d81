#!/bin/bash
# What the entrypoint of the image `postgres` does, as far as the compose file needs it: a new cluster is made and set up by
# /docker-entrypoint-initdb.d, then the server runs. Nobody connects over the network before that is done.
set -euo pipefail

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups --reset-env env PGDATA="$PGDATA" "$@"; }

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    install -o postgres -g postgres -m 600 <(printf '%s' "$POSTGRES_PASSWORD") "$PGDATA.password"
    as_postgres initdb --encoding UTF8 --locale C.UTF-8 --username "${POSTGRES_USER:-postgres}" \
        --auth-local trust --auth-host scram-sha-256 --pwfile "$PGDATA.password" >/dev/null
    rm "$PGDATA.password"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    as_postgres pg_ctl --wait --options "-c listen_addresses=''" start >/dev/null
    for script in /docker-entrypoint-initdb.d/*.sh; do bash "$script"; done
    as_postgres pg_ctl --wait stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --init-groups "$@" -c listen_addresses='*'
