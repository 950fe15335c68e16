#!/usr/bin/env bash
# database-knotinfo 2026.11.2: the cusp translations of a chiral knot may be those of its mirror image.
#
# Guess: the columns of a row are of one knot. `signature` and `pd_notation` have a handedness (that of the other sign
#        is the mirror image), so that `meridian_translation` and `longitude_translation` are of the knot in
#        `pd_notation`, and the published relation signature = Re(longitude / meridian) / 2, nearly, can be seen in
#        the columns.
# Seen:  no `meridian_translation` has a negative real part: of a knot and its mirror image, whose real parts have
#        opposite signs, the table always gives the positive one. Of the 72 chiral hyperbolic knots up to 9 crossings
#        50 rows have the translations of the mirror image of the diagram in the same row (SnapPy 3.3.2 computes them
#        from it), 22 those of the knot. The slope correlates with the signature by -0.51 from the columns and by 0.95
#        from the diagrams. Every value of the table is a text, and its first two rows are descriptions and the
#        unknot.
# Fails when this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    database-knotinfo==2026.11.2 snappy==3.3.2 numpy
"$folder/venv/bin/python" - <<'PY'
import re
from ast import literal_eval

import numpy as np
import snappy
from database_knotinfo import link_list

table = link_list()
assert all(isinstance(value, str) for value in table[10].values())
given = [row for row in table if row["meridian_translation"].startswith("(")]
assert min(literal_eval(row["meridian_translation"])[0] for row in given) >= 0


def slopes(row):
    """Re(longitude / meridian) from the columns, and from the diagram in the same row."""
    mu, lam = (complex(*literal_eval(row[f"{name}_translation"])) for name in ("meridian", "longitude"))
    exterior = snappy.Link(literal_eval(row["pd_notation"])).exterior()
    for _ in range(30):
        if exterior.solution_type() == "all tetrahedra positively oriented":
            break
        exterior.randomize()
    cusp = exterior.cusp_neighborhood()
    cusp.set_displacement(cusp.stopping_displacement())
    meridian, longitude = map(complex, cusp.translations())
    return (lam / mu).real, (longitude / meridian).real


chiral = [r for r in given if re.fullmatch(r"\d_\d+", r["name"]) and "amphicheiral" not in r["symmetry_type"]]
column, diagram = np.array([slopes(row) for row in chiral]).T
signature = np.array([int(row["signature"]) for row in chiral])
same, mirror = np.isclose(column, diagram, atol=1e-3), np.isclose(column, -diagram, atol=1e-3)
seen = (
    len(chiral),
    int(same.sum()),
    int((mirror & ~same).sum()),
    round(float(np.corrcoef(signature, column)[0, 1]), 2),
    round(float(np.corrcoef(signature, diagram)[0, 1]), 2),
)
assert seen == (72, 22, 50, -0.51, 0.95), seen
print("chiral knots up to 9 crossings: {}; translations of the knot: {}, of its mirror image: {}".format(*seen[:3]))
print("correlation of the slope with the signature: columns {}, diagrams {}".format(*seen[3:]))
PY
