/* Kepler's equation by Newton's steps, as one would write it in C for vectors: the states in registers, elements that are done
   keep theirs, a vector leaves when none is active. WIDTH and the names of the vector functions come from the command line. */
#include <math.h>
#include <stdint.h>

typedef double vector __attribute__((vector_size(8 * WIDTH), aligned(8)));
typedef int64_t mask __attribute__((vector_size(8 * WIDTH)));

vector SIN(vector x);
vector COS(vector x);

static int any(mask m) {
    int64_t found = 0;
    for (int k = 0; k < WIDTH; k++) found |= m[k];
    return found != 0;
}

void kepler(const double *m, const double *e, double *result, int64_t n) {
    const vector tol = {0}, unit = {0};
    for (int64_t i = 0; i + WIDTH <= n; i += WIDTH) {
        const vector mean = *(const vector *)(m + i), eccentricity = *(const vector *)(e + i);
        vector x = mean, step = unit + 1.0;
        for (int passes = 0; passes < 10000; passes++) {
            const vector size = (vector)((mask)step & INT64_MAX);
            const mask active = size > tol + 1e-12;
            if (!any(active)) break;
            const vector new = (x - eccentricity * SIN(x) - mean) / (1.0 - eccentricity * COS(x));
            step = (vector)(((mask)new & active) | ((mask)step & ~active));
            x = (vector)(((mask)(x - new) & active) | ((mask)x & ~active));
        }
        *(vector *)(result + i) = x;
    }
}
