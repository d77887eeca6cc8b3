"""The bundled model's entropy part in integers: the same ones on every machine.

    symbols of z -> hyper synthesis -> h
    for each slice: h, earlier slices -> anchors; these, too -> non-anchors

All in NumPy. Between layers there are only integers. A float32 sum of integers is exact in any
order while every partial sum stays below 2^24, so the products are ordinary matrix products
(docs/portability.md has the proof, docs/format.md every operation).
"""
