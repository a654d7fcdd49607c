/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Householder QR, as in Golub and Van Loan, Matrix Computations, 5.2.1 and 5.3.2. Not the normal
 * equations, which square the condition number: with columns as alike as utilisations are, half of
 * the digits would go. Columns are scaled to length one first, so that the rank test does not
 * depend on units.
 */
#include "profiles/least_squares.h"

#include "common/memory.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static double length(const double *v, size_t count)
{
    double largest = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(v[i]));
    if (largest == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        sum += (v[i] / largest) * (v[i] / largest);
    return largest * sqrt(sum);
}

/* Reflects target by the Householder vector v with v.v = vv. */
static void reflect(const double *v, double vv, double *target, size_t count)
{
    double dot = 0;
    for (size_t i = 0; i < count; i++)
        dot += v[i] * target[i];
    for (size_t i = 0; i < count; i++)
        target[i] -= 2 * dot / vv * v[i];
}

/* Makes column k upper triangular; the diagonal goes to *diagonal, the vector stays in place. */
static void eliminate(double *a, double *b, size_t m, size_t n, size_t k, double *diagonal)
{
    double *v = a + k * m + k;
    double alpha = length(v, m - k);
    if (v[0] > 0)
        alpha = -alpha;
    *diagonal = alpha;
    v[0] -= alpha;
    double vv = 0;
    for (size_t i = 0; i < m - k; i++)
        vv += v[i] * v[i];
    if (vv == 0)
        return;
    for (size_t c = k + 1; c < n; c++)
        reflect(v, vv, a + c * m + k, m - k);
    reflect(v, vv, b + k, m - k);
}

int glet_least_squares(double *a, double *b, size_t m, size_t n, double *x, struct glet_error *err)
{
    if (m < n)
        return glet_error_set(err, GLET_ERR_UNDECIDED, "%zu measurements for %zu coefficients", m,
                              n);
    GLET_CLEANUP(glet_cleanup_free) double *scale = glet_alloc(n, sizeof *scale, err);
    GLET_CLEANUP(glet_cleanup_free) double *diagonal = glet_alloc(n, sizeof *diagonal, err);
    if (!scale || !diagonal)
        return -1;
    for (size_t c = 0; c < n; c++) {
        scale[c] = length(a + c * m, m);
        for (size_t i = 0; i < m; i++)
            a[c * m + i] /= scale[c] > 0 ? scale[c] : 1;
    }
    for (size_t k = 0; k < n; k++) {
        eliminate(a, b, m, n, k, &diagonal[k]);
        if (fabs(diagonal[k]) < 16 * (double)m * DBL_EPSILON)
            return glet_error_set(err, GLET_ERR_UNDECIDED,
                                  "the measurements do not tell the coefficients apart");
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t c = k + 1; c < n; c++)
            b[k] -= a[c * m + k] * b[c];
        b[k] /= diagonal[k];
    }
    for (size_t k = 0; k < n; k++)
        x[k] = b[k] / scale[k];
    return 0;
}
