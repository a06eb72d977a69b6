# SPDX-License-Identifier: Apache-2.0

# The image holds one static binary. Routegate talks only to the API server,
# with the CA of its service account, so the image needs no shell, no C library
# and no CA bundle.
#
#   docker build --build-arg VERSION=v0.1.0 -t routegate:v0.1.0 .

# BUILDER must hold Go as new as the toolchain line of go.mod. BASE may be any
# image, for example one that your organisation maintains.
ARG BUILDER=golang:1.27.4
ARG BASE=scratch

# The build stage runs on the machine that builds and compiles for the image's
# platform. Docker and buildah say what these two are.
FROM --platform=${BUILDPLATFORM} ${BUILDER} AS build
WORKDIR /src

# The modules change less often than the code, so they get a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /routegate ./cmd/routegate

FROM ${BASE}
COPY --from=build /routegate /routegate

# The user is a number, so that a kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/routegate"]
CMD ["serve"]
