FROM python:3.13.9-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/tailrace
ENV PATH=/opt/tailrace/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Dependencies first: this layer stays until the lock changes.
COPY docker/requirements.lock ./
RUN pip install --quiet --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY connect connect
COPY connectors connectors
COPY log_core log_core
COPY api api
RUN pip install --quiet --no-deps .

FROM python:3.13.9-slim-bookworm
RUN useradd --uid 1000 --create-home tailrace \
    && install -d -o tailrace -g tailrace -m 700 /var/lib/tailrace
COPY --from=build /opt/tailrace /opt/tailrace
ENV PATH=/opt/tailrace/bin:$PATH PYTHONUNBUFFERED=1
USER 1000
WORKDIR /var/lib/tailrace
VOLUME /var/lib/tailrace
EXPOSE 8083
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8083/health', timeout=3)"]
ENTRYPOINT ["tailrace"]
# Listens beyond the container, so it wants TAILRACE_API_TOKEN (or --auth-file) and says so without.
CMD ["server", "start", "--host", "0.0.0.0", "--port", "8083", "--data-dir", "/var/lib/tailrace"]
