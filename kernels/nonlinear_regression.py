"""Models of NIST's reference problems for nonlinear regression: one kernel for each, x per element, parameters broadcast.

    misra1a    y = b1 (1 - exp(-b2 x))                          chwirut2   y = exp(-b1 x) / (b2 + b3 x)
    danwood    y = b1 x^b2                                      eckerle4   y = (b1 / b2) exp(-((x - b3) / b2)^2 / 2)
    rat42      y = b1 / (1 + exp(b2 - b3 x))                    rat43      y = b1 / (1 + exp(b2 - b3 x))^(1 / b4)
    kirby2     y = (b1 + b2 x + b3 x^2) / (1 + b4 x + b5 x^2)
    gauss1     y = b1 exp(-b2 x) + b3 exp(-(x - b4)^2 / b5^2) + b6 exp(-(x - b7)^2 / b8^2)
    enso       y = b1 + three cycles in x, of 12, b4 and b7 months, each with a cosine and a sine

Units: those of each problem's data.
Domain: the range of its data, where every model is smooth.
Source: NIST, Statistical Reference Datasets, doi:10.18434/T43G6C, www.itl.nist.gov/div898/strd.
`REFERENCE` holds, for each model, the range of x and the certified parameters with their standard deviations.
"""

from math import cos, exp, pi, sin

import numpy as np

import nbad


@nbad.kernel
def misra1a(x, b1, b2):
    """Volume of gas adsorbed at pressure x: exponential approach to saturation."""
    return b1 * (1 - exp(-b2 * x))


@nbad.kernel
def chwirut2(x, b1, b2, b3):
    """Ultrasonic response at metal distance x."""
    return exp(-b1 * x) / (b2 + b3 * x)


@nbad.kernel
def danwood(x, b1, b2):
    """Energy radiated by a carbon filament at temperature x, in 1000 K."""
    return b1 * x**b2


@nbad.kernel
def enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    """Pressure difference between Easter Island and Darwin in month x."""
    year = 2 * pi * x / 12
    nino = 2 * pi * x / b4
    southern = 2 * pi * x / b7
    return b1 + b2 * cos(year) + b3 * sin(year) + b5 * cos(nino) + b6 * sin(nino) + b8 * cos(southern) + b9 * sin(southern)


@nbad.kernel
def eckerle4(x, b1, b2, b3):
    """Transmittance of a filter at wavelength x."""
    return (b1 / b2) * exp(-0.5 * ((x - b3) / b2) ** 2)


@nbad.kernel
def gauss1(x, b1, b2, b3, b4, b5, b6, b7, b8):
    """Two Gaussian peaks on an exponential baseline."""
    return b1 * exp(-b2 * x) + b3 * exp(-((x - b4) ** 2) / b5**2) + b6 * exp(-((x - b7) ** 2) / b8**2)


@nbad.kernel
def kirby2(x, b1, b2, b3, b4, b5):
    """Line width standard under an electron microscope: ratio of two quadratics."""
    return (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)


@nbad.kernel
def rat42(x, b1, b2, b3):
    """Pasture yield after growing time x: logistic growth."""
    return b1 / (1 + exp(b2 - b3 * x))


@nbad.kernel
def rat43(x, b1, b2, b3, b4):
    """Weight of onions after growing time x: generalized logistic growth."""
    return b1 / (1 + exp(b2 - b3 * x)) ** (1 / b4)


MODELS = {f.__name__: f for f in (misra1a, chwirut2, danwood, enso, eckerle4, gauss1, kirby2, rat42, rat43)}

REFERENCE = {
    "misra1a": {
        "range": (77.6, 760.0),
        "parameters": (2.3894212918e2, 5.5015643181e-4),
        "deviations": (2.7070075241e0, 7.2668688436e-6),
    },
    "chwirut2": {
        "range": (0.5, 6.0),
        "parameters": (1.6657666537e-1, 5.1653291286e-3, 1.2150007096e-2),
        "deviations": (3.8303286810e-2, 6.6621605126e-4, 1.5304234767e-3),
    },
    "danwood": {
        "range": (1.309, 1.68),
        "parameters": (7.6886226176e-1, 3.8604055871e0),
        "deviations": (1.8281973860e-2, 5.1726610913e-2),
    },
    "enso": {
        "range": (1.0, 168.0),
        "parameters": (
            1.0510749193e1,
            3.0762128085e0,
            5.3280138227e-1,
            4.4311088700e1,
            -1.6231428586e0,
            5.2554493756e-1,
            2.6887614440e1,
            2.1232288488e-1,
            1.4966870418e0,
        ),
        "deviations": (
            1.7488832467e-1,
            2.4310052139e-1,
            2.4354686618e-1,
            9.4408025976e-1,
            2.8078369611e-1,
            4.8073701119e-1,
            4.1612939130e-1,
            5.1460022911e-1,
            2.5434468893e-1,
        ),
    },
    "eckerle4": {
        "range": (400.0, 500.0),
        "parameters": (1.5543827178e0, 4.0888321754e0, 4.5154121844e2),
        "deviations": (1.5408051163e-2, 4.6803020753e-2, 4.6800518816e-2),
    },
    "gauss1": {
        "range": (1.0, 250.0),
        "parameters": (
            9.8778210871e1,
            1.0497276517e-2,
            1.0048990633e2,
            6.7481111276e1,
            2.3129773360e1,
            7.1994503004e1,
            1.7899805021e2,
            1.8389389025e1,
        ),
        "deviations": (
            5.7527312730e-1,
            1.1406289017e-4,
            5.8831775752e-1,
            1.0460593412e-1,
            1.7439951146e-1,
            6.2622793913e-1,
            1.2436988217e-1,
            2.0134312832e-1,
        ),
    },
    "kirby2": {
        "range": (9.65, 371.3),
        "parameters": (1.6745063063e0, -1.3927397867e-1, 2.5961181191e-3, -1.7241811870e-3, 2.1664802578e-5),
        "deviations": (8.7989634338e-2, 4.1182041386e-3, 4.1856520458e-5, 5.8931897355e-5, 2.0129761919e-7),
    },
    "rat42": {
        "range": (9.0, 79.0),
        "parameters": (7.2462237576e1, 2.6180768402e0, 6.7359200066e-2),
        "deviations": (1.7340283401e0, 8.8295217536e-2, 3.4465663377e-3),
    },
    "rat43": {
        "range": (1.0, 15.0),
        "parameters": (6.9964151270e2, 5.2771253025e0, 7.5962938329e-1, 1.2792483859e0),
        "deviations": (1.6302297817e1, 2.0828735829e0, 1.9566123451e-1, 6.8761936385e-1),
    },
}


def sample_inputs(rng, n, dtype, name="misra1a"):
    """The model's range of x, and its certified parameters as zero-dimensional arrays."""
    problem = REFERENCE[name]
    x = rng.uniform(*problem["range"], n)
    return tuple(np.asarray(a, dtype) for a in (x, *problem["parameters"]))
