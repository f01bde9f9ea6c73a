#!/bin/sh
# Run a script with a Python that suits us (3.11 to 3.13), or say in words why there is none.
set -eu
found=""
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    # A shim (pyenv, Windows store) may exist for a version that is not installed: it fails here and is passed over.
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case "$version" in
        3.11 | 3.12 | 3.13) exec "$candidate" "$@" ;;
    esac
    found="$found $candidate is $version;"
done
{
    if [ -n "$found" ]; then
        echo "This needs Python 3.11, 3.12 or 3.13, but here$found none of them fits."
    else
        echo "This needs Python 3.11, 3.12 or 3.13, and no Python was found."
    fi
    echo "Install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.12; all: python.org)."
    echo "If it lies elsewhere, name it: make PYTHON=/path/to/python3.12 run"
} >&2
exit 1
