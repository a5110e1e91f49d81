# PostgreSQL and a registry of Debian packages, for machines that can pull neither `postgres` nor `registry`. The parent is
# that of deploy/debian-parent.sh. POSTGRES_IMAGE and REGISTRY_IMAGE in .env name them to the compose file.
#   docker build --target postgres --tag debian-postgres --file deploy/airflow/debian.Dockerfile deploy/airflow
#   docker build --target registry --tag debian-registry --file deploy/airflow/debian.Dockerfile deploy/airflow
ARG PARENT=debian-python:bookworm

FROM ${PARENT} AS registry
RUN apt-get update && apt-get install --yes --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/* \
    && printf '%s\n' 'version: 0.1' 'storage: {filesystem: {rootdirectory: /var/lib/registry}}' 'http: {addr: ":5000"}' \
       > /etc/docker/registry/config.yml
VOLUME /var/lib/registry
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]

FROM ${PARENT} AS postgres
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/* \
    && for program in /usr/lib/postgresql/*/bin/*; do ln -sf "$program" /usr/local/bin/; done
ENV PGDATA=/var/lib/postgresql/data
COPY debian-postgres.sh /usr/local/bin/entrypoint
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
