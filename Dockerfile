# Two stages: the first builds a virtual environment, the second carries it and nothing else.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md settings.py logs.py ./
RUN python -m venv /opt/fairhouse
COPY . .
RUN /opt/fairhouse/bin/pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin fairhouse
COPY --from=build /opt/fairhouse /opt/fairhouse
ENV PATH=/opt/fairhouse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FAIRHOUSE_ENVIRONMENT=production \
    FAIRHOUSE_API_HOST=0.0.0.0 \
    FAIRHOUSE_FEED_HOST=0.0.0.0
WORKDIR /tmp
USER fairhouse
EXPOSE 3000 3001
STOPSIGNAL SIGTERM
CMD ["fairhouse", "run", "api"]
