# Runs glpsol, which only reads and writes files.
if ! command -v glpsol >/dev/null; then
    echo 'glpsol is not installed on this machine; install it: apt-get install glpk-utils' >&2
    exit 127
fi
if ! [ -e model.mod ]; then
    echo 'there is no input model: upload a model in GMPL' >&2
    exit 2
fi
exec glpsol --math model.mod --output solution.txt
