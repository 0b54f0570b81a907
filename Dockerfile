# Two stages: the first builds a virtual environment, the second carries it and nothing else.
FROM python:3.11-slim AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml requirements.lock ./
RUN pip install --no-cache-dir --constraint requirements.lock uv \
    && uv venv /opt/fairhouse
# What we stand on changes rarely, so it is a layer of its own below the code.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/fairhouse/bin/python \
    --constraint requirements.lock --requirement pyproject.toml
COPY README.md logs.py settings.py ./
COPY contracts/abi contracts/abi
COPY contracts/idl contracts/idl
COPY games games
COPY chains chains
COPY db db
COPY queues queues
COPY casino casino
COPY indexer indexer
COPY ledger ledger
COPY studio studio
COPY workers workers
COPY api api
COPY cli cli
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/fairhouse/bin/python --constraint requirements.lock --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin fairhouse
COPY --from=build /opt/fairhouse /opt/fairhouse
ENV PATH=/opt/fairhouse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FAIRHOUSE_ENVIRONMENT=production \
    FAIRHOUSE_API_HOST=0.0.0.0 \
    FAIRHOUSE_FEED_HOST=0.0.0.0
WORKDIR /var/empty
USER fairhouse
EXPOSE 3000 3001
STOPSIGNAL SIGTERM
CMD ["fairhouse", "run", "api"]
