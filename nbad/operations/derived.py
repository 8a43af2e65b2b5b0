"""Partials as SymPy derives them, written by `python -m nbad.operations.derive`."""

DERIVED = {
    "add": ("1", "1"),
    "sub": ("1", "-1"),
    "mul": ("y", "x"),
    "neg": ("-1",),
    "square": ("2*x",),
    "deg2rad": ("pi/180",),
    "rad2deg": ("180/pi",),
    "expm1": ("exp(x)",),
    "log": ("1/x",),
    "log2": ("1/(x*log(2))",),
    "log10": ("1/(x*log(10))",),
    "log1p": ("1/(x + 1)",),
    "sin": ("cos(x)",),
    "cos": ("-sin(x)",),
    "sinh": ("cosh(x)",),
    "cosh": ("sinh(x)",),
}
