# syntax=docker/dockerfile:1
# The image of klatsch-edge. From the top of the tree: `make image`, or
#   docker buildx build -f deploy/edge.Dockerfile -t klatsch-edge .
#
#   chef, planner, deps   every crate, OpenSSL and librdkafka among them: a layer that lives until Cargo.lock changes
#   builder               the edge, with the list of its crates inside the binary (cargo-auditable)
#   debug                 its line tables alone, for gdb and perf: --target debug --output .
#   sbom                  that list as CycloneDX
#   runtime               both on distroless: no shell, no package manager, uid 65532; needs nothing it could write to
#
# Base images are named by tag here. What is published should name what was tested: look a digest up with
#   docker buildx imagetools inspect gcr.io/distroless/cc-debian12:nonroot
# and give it as --build-arg RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:…, RUST likewise.
ARG RUST=docker.io/library/rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot
# Where the runtime stage finds /files: a stage of this file, or an image (deploy/image/test).
ARG FILES=sbom

FROM ${RUST} AS chef
# Versions of Debian's packages live for weeks, so the base image's digest pins them.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential perl pkg-config \
 && rm -rf /var/lib/apt/lists/*
RUN cargo install --locked cargo-chef@0.1.78 cargo-auditable@0.7.7 auditable2cdx@0.1.0
WORKDIR /src

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path /recipe.json

FROM chef AS deps
COPY --from=planner /recipe.json /recipe.json
# The same package, binary and features as below, or the crates would be compiled twice.
RUN cargo chef cook --release --locked --recipe-path /recipe.json --package klatsch-edge --bin klatsch-edge --features vendored

FROM deps AS builder
COPY . .
# Shown by --version's metric, klatsch_build_info.
ARG KLATSCH_REVISION=unknown
RUN cargo auditable build --release --locked --package klatsch-edge --bin klatsch-edge --features vendored \
 && mkdir -p /files /debug \
 && objcopy --only-keep-debug target/release/klatsch-edge /debug/klatsch-edge.debug \
 && objcopy --strip-debug --add-gnu-debuglink=/debug/klatsch-edge.debug target/release/klatsch-edge /files/klatsch-edge \
 && chmod 0555 /files/klatsch-edge

FROM scratch AS debug
COPY --from=builder /debug/klatsch-edge.debug /

FROM builder AS sbom
RUN mkdir -p /files/usr/share/sbom \
 && auditable2cdx /files/klatsch-edge >/files/usr/share/sbom/klatsch-edge.cdx.json \
 && chmod 0444 /files/usr/share/sbom/klatsch-edge.cdx.json

FROM ${FILES} AS files

FROM ${RUNTIME} AS runtime
ARG VERSION=0.0.0
ARG KLATSCH_REVISION=unknown
LABEL org.opencontainers.image.title="klatsch-edge" \
      org.opencontainers.image.description="A chat edge for teams that already run Kafka" \
      org.opencontainers.image.source="https://github.com/klatsch-chat/klatsch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${KLATSCH_REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=files /files/ /
# Every other setting is a variable KLATSCH_… too; `--help` has them.
ENV KLATSCH_LISTEN=0.0.0.0:8080 \
    KLATSCH_ADMIN=0.0.0.0:9090
EXPOSE 8080 9090
USER 65532:65532
STOPSIGNAL SIGTERM
# For Docker and podman; Kubernetes asks the admin port itself.
HEALTHCHECK --interval=5s --timeout=6s --start-period=120s --retries=2 CMD ["/klatsch-edge", "healthcheck"]
ENTRYPOINT ["/klatsch-edge"]
