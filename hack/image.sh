#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Builds the Dockerfile with buildah, which needs no daemon, and writes
#
#   bin/image/routegate.tar             OCI archive, one image for each platform
#   bin/image/routegate-ARCH.cdx.json   what went into each, as CycloneDX
#   bin/image/digest                    digest of the index
#
# The same commit gives the same digest: every time in the image is that of the
# commit. Run as root, or as a user that buildah was set up for.
#
# Variables: IMAGE, VERSION, PLATFORMS, BASE, BUILDER and OUT. Where BUILDER is not
# given no registry is needed: the build stage then is busybox with this
# machine's Go, module cache and build cache mounted where golang's image has
# them, so that the Dockerfile runs as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

IMAGE=${IMAGE:-localhost/routegate:e2e}
VERSION=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo dev)}
PLATFORMS=${PLATFORMS:-linux/amd64,linux/arm64}
BASE=${BASE:-scratch}
BUILDER=${BUILDER:-}
OUT=${OUT:-bin/image}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

missing=()
command -v buildah >/dev/null || missing+=(buildah)
[[ -n $BUILDER ]] || command -v busybox >/dev/null || missing+=(busybox-static)
if ((${#missing[@]} > 0)); then
	if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
		echo "image: install ${missing[*]} first, or run this as root on Debian" >&2
		exit 1
	fi
	echo "image: installing ${missing[*]}" >&2
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Images and layers live in a folder of their own, so that nothing stays behind.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
buildah=(buildah --storage-driver vfs --root "$work/root" --runroot "$work/run")
export BUILDAH_ISOLATION=chroot
# Without it there is an /etc/cni afterwards.
printf '[network]\nnetwork_config_dir = "%s"\n' "$work/cni" >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf
mkdir -p "$OUT"

options=(--timestamp "$SOURCE_DATE_EPOCH" --format oci --quiet)
if [[ -z $BUILDER ]]; then
	BUILDER=localhost/go:host
	mkdir -p "$work/go/bin" "$work/go/tmp" "$work/go/etc/ssl/certs"
	cp "$(command -v busybox)" "$work/go/bin/busybox"
	cp -L /etc/ssl/certs/ca-certificates.crt "$work/go/etc/ssl/certs/" 2>/dev/null || true
	cat >"$work/go/Dockerfile" <<-EOF
		FROM scratch
		COPY bin /bin
		COPY tmp /tmp
		COPY etc /etc
		RUN ["/bin/busybox", "--install", "-s", "/bin"]
		ENV PATH=/usr/local/go/bin:/bin HOME=/tmp GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
		ENV GOPROXY=$(go env GOPROXY) GOSUMDB=$(go env GOSUMDB) GOMODCACHE=/go/pkg/mod GOCACHE=/go/build
	EOF
	"${buildah[@]}" build "${options[@]}" -t "$BUILDER" "$work/go" >/dev/null
	options+=(-v "$(go env GOROOT):/usr/local/go:ro" -v "$(go env GOMODCACHE):/go/pkg/mod" -v "$(go env GOCACHE):/go/build")
fi

# buildah before 1.29 does not say what BUILDPLATFORM is.
options+=(--build-arg "BUILDPLATFORM=linux/$(go env GOHOSTARCH)"
	--build-arg "BUILDER=$BUILDER" --build-arg "BASE=$BASE" --build-arg "VERSION=$VERSION")
"${buildah[@]}" manifest create "$IMAGE" >/dev/null
for platform in ${PLATFORMS//,/ }; do
	echo "image: building $IMAGE $VERSION for $platform" >&2
	"${buildah[@]}" build "${options[@]}" --platform "$platform" --iidfile "$work/id" . >/dev/null
	"${buildah[@]}" manifest add "$IMAGE" "$(<"$work/id")" >/dev/null
	# What is listed is what the binary in the image says of itself.
	container=$("${buildah[@]}" from "$(<"$work/id")")
	go tool -modfile=go.tool.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" \
		-output "$OUT/routegate-${platform##*/}.cdx.json" "$("${buildah[@]}" mount "$container")/routegate" 2>/dev/null
	"${buildah[@]}" rm "$container" >/dev/null
done
"${buildah[@]}" manifest push --quiet --all --digestfile "$work/digest" "$IMAGE" "oci-archive:$work/routegate.tar:$IMAGE"
mv "$work/routegate.tar" "$OUT/routegate.tar"
mv "$work/digest" "$OUT/digest"
cat "$OUT/digest"
echo
