#!/bin/sh
# Makes .venv with the package (editable) and the versions pinned in constraints.txt; `make` runs this first.
#
# Python 3.9, 3.10 or 3.11 is looked for on PATH; where none of them can make environments, uv brings 3.11 if it is on
# PATH. A second run does nothing unless setup.cfg or constraints.txt have changed. A .venv made by hand is installed into.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"

extras=audio,report,index,serve,download,scores,cluster,test,docs,dev
unfinished=.venv.unfinished # there while .venv is being made: what an interruption leaves is thrown away
stamp=.venv/mulkinet-installed
wanted="$(cat install.sh setup.cfg constraints.txt | cksum) $PWD"

trap 'exit 130' INT # and not on with what comes after an interrupted pip
trap 'exit 143' TERM

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

# "3.11" for an interpreter that runs; one may exist and not run, such as a pyenv shim.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case $(version_of "$1") in 3.9 | 3.10 | 3.11) return 0 ;; *) return 1 ;; esac
}

has_module() {
    "$1" -c "import $2" >/dev/null 2>&1
}

# Debian puts ensurepip into a package of its own (python3-venv); pip, where it is installed, does instead.
make_venv() {
    found='' bare=''
    for python in python3.11 python3.10 python3.9 python3 python; do
        version=$(version_of "$python") || continue
        found="$found${found:+, }$python ($version)"
        is_supported "$python" || continue
        if has_module "$python" ensurepip; then
            "$python" -m venv .venv && return
        elif has_module "$python" pip; then
            "$python" -m venv --without-pip .venv && "$python" -m pip --python .venv/bin/python install --quiet pip && return
        fi
        bare="${bare:-$python ($version)}"
    done
    if uv --version >/dev/null 2>&1; then uv venv --quiet --seed --python 3.11 .venv && return; fi
    rm -rf .venv $unfinished
    [ -z "$bare" ] || fail "expected a Python that can make environments, found $bare without; try: apt-get install python3-venv"
    fail "expected Python 3.9, 3.10 or 3.11 on PATH, found ${found:-none}; install python3.11, or uv, which brings it"
}

install_packages() {
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    # The pinned setuptools builds, rather than the newest one that an isolated build would fetch.
    .venv/bin/python -m pip install -c constraints.txt setuptools wheel &&
        .venv/bin/python -m pip install -c constraints.txt --no-build-isolation -e ".[$extras]"
}

if [ ! -e $unfinished ] && is_supported .venv/bin/python; then
    if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then exit 0; fi
    reused=yes
    : >$unfinished
else
    reused=no
    : >$unfinished
    rm -rf .venv
    make_venv
fi
if ! install_packages; then
    # pip has put back what it was replacing: an environment that was there is as it was.
    [ $reused = no ] || rm $unfinished
    fail "expected pip to fill .venv, found the error above; try again with a network, or remove .venv"
fi
echo "$wanted" >$stamp
rm $unfinished
