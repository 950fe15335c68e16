#!/usr/bin/env bash
# sympy 1.14.0: latex() reads the end of a plain symbol name as an ornament.
#
# Guess: Symbol("imag") prints as its letters, as Symbol("real") does; ornaments need a separator, as in "x_bar".
# Seen:  a name that ends in mag, bar, hat, dot, prime, norm, ... loses these letters and gets a mark instead:
#        imag -> |i| (the magnitude of i), rebar -> a bar over "re", crossbar -> a bar over "cross".
#        Behind an underscore the index is read in the same way (x_imag -> x with the index |i|), but an index that is
#        nothing but the ending is left alone (torque_mag -> the index "mag"). No warning. Columns of a table of
#        measurements that are real and imaginary parts therefore print as something else than they are.
# Fails when this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check sympy==1.14.0 mpmath==1.3.0
"$folder/venv/bin/python" - <<'PY'
from sympy import Symbol, latex

seen = {name: latex(Symbol(name)) for name in ("real", "imag", "x_imag", "rebar", "crossbar", "torque_mag")}
expected = {
    "real": "real",
    "imag": r"\left|{i}\right|",
    "x_imag": r"x_{\left|{i}\right|}",
    "rebar": r"\bar{re}",
    "crossbar": r"\bar{cross}",
    "torque_mag": "torque_{mag}",
}
assert seen == expected, seen
print("\n".join(f"{name:11s} {text}" for name, text in seen.items()))
PY
