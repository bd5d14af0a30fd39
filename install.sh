#!/bin/sh
# Makes .venv with the package (editable) and the versions pinned in constraints.txt; `make` runs this first.
#
# Python 3.9, 3.10 or 3.11 is looked for on PATH; where it comes without pip, as Debian's does, pip is fetched. Where
# there is only another version, uv (on PATH, or from the package index) brings 3.11 into .python. A second run reuses
# .venv as it stands, unless setup.cfg or constraints.txt have changed since: then they are installed into it. A .venv
# made by hand is installed into as well.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"

extras=audio,report,index,download,test,dev
unfinished=.venv.unfinished # there while .venv is being made: what an interruption leaves is thrown away
stamp=.venv/mulkinet-installed
# The last pip for Python 3.9, for a Python that comes without it.
pip_wheel=https://files.pythonhosted.org/packages/44/3c/d717024885424591d5376220b5e836c2d5293ce2011523c9de23ff7bf068/pip-25.3-py3-none-any.whl
pip_sha256=9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd
wanted="$(cat install.sh setup.cfg constraints.txt | cksum) $PWD"

trap 'exit 130' INT # and not on with what comes after an interrupted pip
trap 'exit 143' TERM

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

# "3.11" for an interpreter that runs. One may exist and not run: a pyenv shim, or a .venv whose Python is gone.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case $(version_of "$1") in
    3.9 | 3.10 | 3.11) return 0 ;;
    *) return 1 ;;
    esac
}

has_module() {
    "$1" -c "import $2" >/dev/null 2>&1
}

# Debian puts ensurepip into a package of its own; pip, where it is installed, does instead, and can be fetched.
make_venv() { # PYTHON FOLDER
    if has_module "$1" ensurepip; then
        "$1" -m venv "$2"
        return
    fi
    "$1" -m venv --without-pip "$2" || return
    packages=$(echo "$2"/lib/python3*/site-packages)
    if has_module "$1" pip; then
        "$1" -m pip install --quiet --target "$packages" pip
    else
        fetch_pip "$1" "$packages"
    fi
}

fetch_pip() { # PYTHON FOLDER
    "$1" - "$pip_wheel" "$pip_sha256" "$2" <<'END'
import hashlib, io, sys, urllib.request, zipfile

url, sha256, folder = sys.argv[1:]
with urllib.request.urlopen(url, timeout=60) as response:
    wheel = response.read()
if hashlib.sha256(wheel).hexdigest() != sha256:
    sys.exit(f"expected the SHA-256 {sha256} of {url}, found another")
zipfile.ZipFile(io.BytesIO(wheel)).extractall(folder)
END
}

# Sets python to the first supported interpreter with ensurepip or pip. Otherwise bare is a supported one without, other
# one of another version, and found says what there is.
find_python() {
    python='' bare='' other='' found=''
    for candidate in python3.11 python3.10 python3.9 python3 python; do
        version=$(version_of "$candidate") || continue
        found="$found${found:+, }$candidate ($version)"
        if ! is_supported "$candidate"; then
            other=${other:-$candidate}
        elif has_module "$candidate" ensurepip || has_module "$candidate" pip; then
            python=$candidate
            return
        else
            bare=${bare:-$candidate}
        fi
    done
}

# Makes .venv with uv, which finds or downloads Python 3.11. Debian forbids installing uv beside its own Python, so it
# goes into an environment that is thrown away.
make_venv_with_uv() {
    if uv --version >/dev/null 2>&1; then
        uv venv --quiet --seed --python 3.11 .venv
    elif [ -n "$other" ]; then
        echo "No Python 3.9, 3.10 or 3.11 on PATH (found: $found): fetching uv, and 3.11 with it ..."
        rm -rf .python/uv
        make_venv "$other" .python/uv &&
            .python/uv/bin/python -m pip install --quiet uv &&
            UV_PYTHON_INSTALL_DIR=$PWD/.python .python/uv/bin/uv venv --quiet --seed --python 3.11 .venv &&
            rm -rf .python/uv
    else
        return 1
    fi
}

make_environment() {
    find_python
    : >$unfinished
    rm -rf .venv
    if [ -n "$python" ]; then
        make_venv "$python" .venv || fail "expected $python to make .venv, found the error above; see to it and run this again"
    elif [ -n "$bare" ] && make_venv "$bare" .venv 2>/dev/null; then
        :
    elif rm -rf .venv && ! make_venv_with_uv 2>/dev/null; then
        rm -rf .venv .python $unfinished
        if [ -n "$bare" ]; then
            version=$(version_of "$bare")
            fail "expected a Python $version that can make virtual environments, found one without ensurepip and pip, and pip could not be fetched; try: apt-get install python$version-venv"
        fi
        fail "expected Python 3.9, 3.10 or 3.11, found ${found:-none}, and uv could not bring 3.11; install python3.11 (from your system's packages, python.org, pyenv or conda), put it on PATH and run this again"
    fi
}

install_packages() {
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    # The pinned setuptools builds, rather than the newest one that an isolated build would fetch.
    .venv/bin/python -m pip install -c constraints.txt setuptools wheel &&
        .venv/bin/python -m pip install -c constraints.txt --no-build-isolation -e ".[$extras]"
}

if [ ! -e $unfinished ] && is_supported .venv/bin/python; then
    if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then exit 0; fi
    : >$unfinished
    if ! install_packages; then
        rm $unfinished # pip has put back what it was replacing: the environment is as it was
        fail "expected pip to bring .venv up to date, found the error above; try again with a network, or remove .venv"
    fi
else
    make_environment
    install_packages || fail "expected pip to fill .venv, found the error above; try again with a network"
fi
echo "$wanted" >$stamp
rm $unfinished
