# greenserve with its demo. Your app: docker run -v "$PWD:/app" -p 8000:8000 greenserve myapp:app
# or, better, an image of your own: FROM greenserve / RUN pip install ... / COPY . /app / CMD ["myapp:app"]

FROM python:3.11-slim AS build
WORKDIR /src
# For the compiled core; what follows this stage has no compiler. The headers are for bases whose Python is Debian's.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY server server
COPY hub hub
# A virtual environment is one folder to copy: pip's cache and the sources stay behind in this stage.
RUN python -m venv /opt/greenserve && GREENSERVE_CORE=required /opt/greenserve/bin/pip install --no-cache-dir '.[speedups,demo]'

FROM python:3.11-slim
COPY --from=build /opt/greenserve /opt/greenserve
WORKDIR /app
COPY apps apps
# `docker stop` kills after 10 s, so the drain has to end before that. Raise both together.
ENV PATH="/opt/greenserve/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    GREENSERVE_BIND=0.0.0.0:8000 \
    GREENSERVE_GRACEFUL_TIMEOUT=9s
# A number and not a name, so that Kubernetes' runAsNonRoot can tell. Nothing in the image belongs to it.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# The exec form: greenserve itself is process 1 and gets the signals, with no shell in between.
# No HEALTHCHECK: which URL tells whether an app is well is the app's to say, and Kubernetes has probes of its own.
ENTRYPOINT ["greenserve"]
CMD ["apps.demo:app"]
