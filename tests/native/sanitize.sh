#!/usr/bin/env bash
# Runs tests (default: tests/native, tests/contract, tests/failures, tests/spinoff) on an extension that was compiled with
# the address sanitizer and the sanitizer of undefined behaviour, in a copy of the tree. Words are passed on to pytest.
#
#   PYTHON=.venv/bin/python tests/native/sanitize.sh -k rings
#
# Memory is malloc's, so that the sanitizer sees each object's bounds. What leaks is not looked for here (the interpreter
# itself frees little at its end): tests/native counts references, tests/leaks.py all else. Signals that tests send are theirs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$(readlink -f "$(dirname "${PYTHON:-.venv/bin/python}")")/$(basename "${PYTHON:-python}")
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

cp -r src tests docs README.md pyproject.toml setup.py "$home"
rm -f "$home"/src/procession/_native/*.so
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
checks="-fsanitize=address,undefined -fno-omit-frame-pointer"
(cd "$home/src/procession/_native" && ${CC:-cc} -std=c11 -O1 -g -fPIC -shared $checks -I"$include" \
    *.c -o "_c$suffix")

export PYTHONPATH="$home/src:$home" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export LD_PRELOAD="$(${CC:-cc} -print-file-name=libasan.so):$(${CC:-cc} -print-file-name=libubsan.so)"
export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0:log_path=$home/said"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$home/said"
export PROCESSION_EXPECT=accelerated

cd "$home"
status=0
if [ $# -eq 0 ]; then set -- tests/native tests/contract tests/failures tests/spinoff; fi
"$python" -m pytest -q -p no:cacheprovider "$@" || status=$?
if compgen -G "$home/said*" >/dev/null; then
    cat "$home"/said*
    exit 1
fi
echo "the sanitizers found nothing"
exit $status
