# `predict` and `serve` on a CPU: `docker build --tag fer-jax .`; docs/guides/docker.md has the rest.
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
# For an NVIDIA GPU: --build-arg EXTRAS=server,gpu; for videos: server,video.
ARG EXTRAS=server
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY constraints constraints
COPY configs configs
COPY fer_jax fer_jax
# An older pip cannot pin what a package is built with. What prediction never imports is left out: OpenCV, which
# only the code of the package with the detector's file needs, readers of training data, and tests.
RUN pins=constraints/python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt \
    && python3 -m venv /opt/fer-jax \
    && /opt/fer-jax/bin/python -m pip install --quiet --no-cache-dir --constraint "$pins" 'pip>=25.3' \
    && /opt/fer-jax/bin/python -m pip install --quiet --no-cache-dir --constraint "$pins" --build-constraint "$pins" \
       ".[${EXTRAS}]" \
    && /opt/fer-jax/bin/python -m pip uninstall --quiet --yes \
       opencv-python-headless tensorflow-datasets array_record pyarrow pip \
    && find /opt/fer-jax -type d -name tests -prune -exec rm -r {} +

FROM ${BASE}
COPY --from=build /opt/fer-jax /opt/fer-jax
# The file system may be read-only: serve writes nothing, predict keeps compiled programs in /tmp.
ENV PATH=/opt/fer-jax/bin:$PATH \
    HOME=/tmp \
    FER_JAX_CACHE=/tmp/fer-jax \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=3)"]
ENTRYPOINT ["fer-jax"]
CMD ["serve", "--host", "0.0.0.0"]
