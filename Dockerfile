# Two images: --target operator, --target trainer. `make images` builds both.
#
# PyTorch and NumPy come from the base, as does SciPy in the operator: bring a base whose PyTorch fits your GPUs. A base
# without PyTorch gets Debian's, for CPUs. All else is pinned by hash. Secrets with the ids apt, pip and ca are optional:
# the package managers' configurations and the certificates they trust, which stay out of the images.
ARG OPERATOR_BASE=debian:trixie-slim
ARG TRAINER_BASE=pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime

# The two stages have the same text, so that with the same base they are one layer.
FROM ${OPERATOR_BASE} AS operator-base
COPY scripts/image/base /opt/image/
RUN --mount=type=secret,id=apt --mount=type=secret,id=ca /opt/image/base

FROM ${TRAINER_BASE} AS trainer-base
COPY scripts/image/base /opt/image/
RUN --mount=type=secret,id=apt --mount=type=secret,id=ca /opt/image/base

FROM operator-base AS wheel
COPY scripts/image/environment requirements/image-build.txt /opt/image/
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca /opt/image/environment /opt/image/image-build.txt
COPY pyproject.toml README.md /source/
COPY operator /source/operator
COPY trainer /source/trainer
RUN /opt/tuning/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheel /source

FROM operator-base AS operator
COPY scripts/image/environment scripts/image/check.py requirements/image-operator.txt /opt/image/
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca /opt/image/environment /opt/image/image-operator.txt
COPY --from=wheel /wheel /opt/image/wheel
RUN /opt/tuning/bin/pip install --quiet --no-cache-dir --no-index --no-deps /opt/image/wheel/*.whl && \
    /opt/tuning/bin/python /opt/image/check.py after operator
# Only /tmp is written to; USER is for whoever looks up the name of a uid that has none.
ENV PATH=/opt/tuning/bin:$PATH HOME=/tmp USER=tuning XDG_CACHE_HOME=/tmp/.cache MPLCONFIGDIR=/tmp/.matplotlib \
    TORCHINDUCTOR_CACHE_DIR=/tmp/.torchinductor PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ARG VERSION
LABEL org.opencontainers.image.title="tuning-operator" org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.description="Runs the trials of TuningStudies as Jobs and learns from them"
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 8081
ENTRYPOINT ["tuning-operator"]
CMD ["run"]

FROM trainer-base AS trainer
COPY scripts/image/environment scripts/image/check.py requirements/image-trainer.txt /opt/image/
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca /opt/image/environment /opt/image/image-trainer.txt
COPY --from=wheel /wheel /opt/image/wheel
RUN /opt/tuning/bin/pip install --quiet --no-cache-dir --no-index --no-deps /opt/image/wheel/*.whl && \
    /opt/tuning/bin/python /opt/image/check.py after trainer
ENV PATH=/opt/tuning/bin:$PATH HOME=/tmp USER=tuning XDG_CACHE_HOME=/tmp/.cache MPLCONFIGDIR=/tmp/.matplotlib \
    TORCHINDUCTOR_CACHE_DIR=/tmp/.torchinductor PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ARG VERSION
LABEL org.opencontainers.image.title="tuning-trainer" org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.description="Trains a network once, as a trial of a TuningStudy or by hand"
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "tuning_trainer"]
