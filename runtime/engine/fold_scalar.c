/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One element of every elementwise operator, as ONNX defines it. Integer division truncates, Mod
 * has the divisor's sign for integers and is fmod() for floating point.
 */
#include "runtime/engine/fold_scalar.h"

#include <math.h>

bool glet_scalar_unary_known(enum glet_activation_kind kind, bool floating)
{
    if (floating)
        return kind != GLET_ACT_NONE && kind != GLET_ACT_NOT;
    return kind == GLET_ACT_NEG || kind == GLET_ACT_ABS || kind == GLET_ACT_SIGN ||
           kind == GLET_ACT_NOT || kind == GLET_ACT_RELU || kind == GLET_ACT_SQUARE;
}

static double clip(double x, double low, double high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

static double smooth(const struct glet_activation *f, double x)
{
    switch (f->kind) {
    case GLET_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case GLET_ACT_TANH:
        return tanh(x);
    case GLET_ACT_GELU_ERF:
        return 0.5 * x * (1.0 + erf(x * M_SQRT1_2));
    case GLET_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x)));
    case GLET_ACT_SWISH:
        return x / (1.0 + exp(-(double)f->a * x));
    case GLET_ACT_ELU:
        return x < 0.0 ? (double)f->a * expm1(x) : x;
    case GLET_ACT_SOFTPLUS:
        return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case GLET_ACT_SQRT:
        return sqrt(x);
    case GLET_ACT_EXP:
        return exp(x);
    case GLET_ACT_LOG:
        return log(x);
    case GLET_ACT_ERF:
        return erf(x);
    case GLET_ACT_SIN:
        return sin(x);
    case GLET_ACT_COS:
        return cos(x);
    default:
        return x;
    }
}

double glet_scalar_unary(const struct glet_activation *f, double x)
{
    double a = (double)f->a, b = (double)f->b;
    switch (f->kind) {
    case GLET_ACT_RELU:
        return x > 0.0 ? x : 0.0;
    case GLET_ACT_LEAKY_RELU:
        return x < 0.0 ? a * x : x;
    case GLET_ACT_CLIP:
        return clip(x, a, b);
    case GLET_ACT_HARD_SIGMOID:
        return clip(a * x + b, 0.0, 1.0);
    case GLET_ACT_HARD_SWISH:
        return x * clip(x / 6.0 + 0.5, 0.0, 1.0);
    case GLET_ACT_LINEAR:
        return a * x + b;
    case GLET_ACT_ABS:
        return fabs(x);
    case GLET_ACT_NEG:
        return -x;
    case GLET_ACT_RECIPROCAL:
        return 1.0 / x;
    case GLET_ACT_FLOOR:
        return floor(x);
    case GLET_ACT_CEIL:
        return ceil(x);
    case GLET_ACT_SQUARE:
        return x * x;
    case GLET_ACT_ROUND:
        return rint(x); /* half to even, as ONNX says */
    case GLET_ACT_SIGN:
        return (x > 0.0) - (x < 0.0);
    default:
        return smooth(f, x);
    }
}

int64_t glet_scalar_unary_int(enum glet_activation_kind kind, int64_t x)
{
    switch (kind) {
    case GLET_ACT_NEG:
        return (int64_t) - (uint64_t)x;
    case GLET_ACT_ABS:
        return x < 0 ? (int64_t) - (uint64_t)x : x;
    case GLET_ACT_SIGN:
        return (x > 0) - (x < 0);
    case GLET_ACT_NOT:
        return !x;
    case GLET_ACT_RELU:
        return x > 0 ? x : 0;
    case GLET_ACT_SQUARE:
        return (int64_t)((uint64_t)x * (uint64_t)x);
    default:
        return x;
    }
}

double glet_scalar_binary(enum glet_binary binary, double x, double y)
{
    switch (binary) {
    case GLET_ADD:
        return x + y;
    case GLET_SUB:
        return x - y;
    case GLET_MUL:
        return x * y;
    case GLET_DIV:
        return x / y;
    case GLET_POW:
        return pow(x, y);
    case GLET_MIN:
        return x < y || isnan(x) ? x : y;
    case GLET_MAX:
        return x > y || isnan(x) ? x : y;
    case GLET_EQUAL:
        return x <= y && x >= y;
    case GLET_LESS:
        return x < y;
    case GLET_GREATER:
        return x > y;
    case GLET_LESS_EQUAL:
        return x <= y;
    case GLET_GREATER_EQUAL:
        return x >= y;
    case GLET_MOD:
        return fmod(x, y);
    case GLET_AND:
    case GLET_OR:
    case GLET_XOR:
        break;
    }
    return 0.0;
}

static int64_t power(int64_t base, int64_t exponent)
{
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    uint64_t result = 1, factor = (uint64_t)base;
    for (; exponent; exponent >>= 1, factor *= factor)
        result *= exponent & 1 ? factor : 1;
    return (int64_t)result;
}

bool glet_scalar_binary_int(enum glet_binary binary, int64_t x, int64_t y, int64_t *out)
{
    bool divides = binary == GLET_DIV || binary == GLET_MOD;
    if (divides && y == 0)
        return false;
    switch (binary) {
    case GLET_ADD:
        *out = (int64_t)((uint64_t)x + (uint64_t)y);
        break;
    case GLET_SUB:
        *out = (int64_t)((uint64_t)x - (uint64_t)y);
        break;
    case GLET_MUL:
        *out = (int64_t)((uint64_t)x * (uint64_t)y);
        break;
    case GLET_DIV: /* the one quotient that does not fit wraps */
        *out = y == -1 ? (int64_t) - (uint64_t)x : x / y;
        break;
    case GLET_MOD:
        *out = y == -1 ? 0 : x % y;
        *out += *out && (*out < 0) != (y < 0) ? y : 0;
        break;
    case GLET_POW:
        *out = power(x, y);
        break;
    case GLET_MIN:
        *out = x < y ? x : y;
        break;
    case GLET_MAX:
        *out = x > y ? x : y;
        break;
    case GLET_AND:
        *out = x && y;
        break;
    case GLET_OR:
        *out = x || y;
        break;
    case GLET_XOR:
        *out = !x != !y;
        break;
    default: /* comparisons */
        *out = (binary == GLET_EQUAL && x == y) || (binary == GLET_LESS && x < y) ||
               (binary == GLET_GREATER && x > y) || (binary == GLET_LESS_EQUAL && x <= y) ||
               (binary == GLET_GREATER_EQUAL && x >= y);
        break;
    }
    return true;
}
