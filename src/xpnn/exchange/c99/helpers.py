"""Functions in C that an exported model may call: activations, layers, reading of columns."""

from xpnn.parts.activations import GELU_CUBIC, GELU_SLOPE, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE

_ELEMENTWISE = {
    "step": "z >= 0.0f ? 1.0f : 0.0f",
    "sigmoid": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanhf(z)",
    "relu": "z > 0.0f ? z : 0.0f",
    "leaky_relu": f"z > 0.0f ? z : {LEAKY_SLOPE}f * z",
    "elu": "z > 0.0f ? z : expm1f(z)",
    "selu": f"{SELU_SCALE}f * (z > 0.0f ? z : {SELU_ALPHA}f * expm1f(z))",
    "gelu": f"0.5f * z * (1.0f + tanhf({GELU_SLOPE}f * z * (1.0f + {GELU_CUBIC}f * z * z)))",
    "silu": "z / (1.0f + expf(-z))",
    "softplus": "(z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z)))",
    "mish": "z * tanhf((z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z))))",
    "softsign": "z / (1.0f + fabsf(z))",
    "hard_sigmoid": "fminf(fmaxf(z / 6.0f + 0.5f, 0.0f), 1.0f)",
    "exp": "expf(fminf(z, 88.72283f))",
}

ACTIVATIONS: dict[str, str] = {
    name: f"""static void act_{name}(float *a, int n)
{{
    int i;
    for (i = 0; i < n; i++) {{
        const float z = a[i];
        a[i] = {value};
    }}
}}
"""
    for name, value in _ELEMENTWISE.items()
} | {
    "softmax": """static void act_softmax(float *a, int n)
{
    float top = a[0], sum = 0.0f;
    int i;
    for (i = 1; i < n; i++) top = fmaxf(top, a[i]);
    for (i = 0; i < n; i++) sum += a[i] = expf(a[i] - top);
    for (i = 0; i < n; i++) a[i] /= sum;
}
""",
    "log_softmax": """static void act_log_softmax(float *a, int n)
{
    float top = a[0], sum = 0.0f;
    int i;
    for (i = 1; i < n; i++) top = fmaxf(top, a[i]);
    for (i = 0; i < n; i++) sum += expf(a[i] - top);
    for (i = 0; i < n; i++) a[i] -= top + logf(sum);
}
""",
}
"""Each built-in activation but the identity, in place."""

_LAYERS = {
    "affine": """/* y = x w + b */
static void affine(const float *x, int n_in, int n_out, const float *w, const float *b, float *y)
{
    int i, j;
    for (j = 0; j < n_out; j++) y[j] = b[j];
    for (i = 0; i < n_in; i++)
        for (j = 0; j < n_out; j++) y[j] += x[i] * w[i * n_out + j];
}
""",
    "normalized": """/* y = (x w with mean 0 and variance 1) s + b */
static void normalized(const float *x, int n_in, int n_out, const float *w, const float *b,
                       const float *s, float epsilon, float *y)
{
    float mean = 0.0f, variance = 0.0f;
    int i, j;
    for (j = 0; j < n_out; j++) y[j] = 0.0f;
    for (i = 0; i < n_in; i++)
        for (j = 0; j < n_out; j++) y[j] += x[i] * w[i * n_out + j];
    for (j = 0; j < n_out; j++) mean += y[j];
    mean /= (float)n_out;
    for (j = 0; j < n_out; j++) variance += (y[j] - mean) * (y[j] - mean);
    variance = sqrtf(variance / (float)n_out + epsilon);
    for (j = 0; j < n_out; j++) y[j] = (y[j] - mean) / variance * s[j] + b[j];
}
""",
    "factors": """static void factors(const float *x, int n, const float *s, float *y)
{
    int i;
    for (i = 0; i < n; i++) y[i] = x[i] * s[i];
}
""",
    "waves": """/* n features x as [x, d of cos(f x + c) v + b with m waves]; the rest as it is */
static void waves(const float *x, int n, int m, int d, int passed, const float *f, const float *c,
                  const float *v, const float *b, float *y)
{
    int i, j, k;
    for (i = 0; i < n; i++) {
        float *to = y + i * (1 + d);
        to[0] = x[i];
        for (k = 0; k < d; k++) to[1 + k] = b[i * d + k];
        for (j = 0; j < m; j++) {
            const float wave = cosf(f[i * m + j] * x[i] + c[i * m + j]);
            for (k = 0; k < d; k++) to[1 + k] += wave * v[(i * m + j) * d + k];
        }
    }
    for (i = 0; i < passed; i++) y[n * (1 + d) + i] = x[n + i];
}
""",
}

_COLUMNS = {
    "spread": """static float spread(double value, double center, double factor)
{
    double z = (value - center) * factor;
    z = z > 1e150 ? 1e150 : z < -1e150 ? -1e150 : z;
    return (float)(3.0 * (z / sqrt(9.0 + z * z)));
}
""",
    "between": """/* how far a value has come from low to high */
static float between(double value, double low, double high)
{
    const double held = value < low ? low : value > high ? high : value;
    return (float)((held - low) / (high - low));
}
""",
    "is_space": """static int is_space(char c)
{
    return c == ' ' || (c >= '\\t' && c <= '\\r');
}
""",
    "trimmed": """/* a text's length without spaces around it; it begins behind the first ones */
static size_t trimmed(const char **text)
{
    size_t n;
    while (is_space(**text)) (*text)++;
    n = strlen(*text);
    while (n > 0 && is_space((*text)[n - 1])) n--;
    return n;
}
""",
    "order": """/* how a text without the spaces around it stands to a word: -, 0, + */
static int order(const char *text, const char *word)
{
    const size_t n = trimmed(&text), length = strlen(word);
    const int found = memcmp(text, word, n < length ? n : length);
    return found ? found : n < length ? -1 : n > length ? 1 : 0;
}
""",
    "place": """/* the place of a text among sorted words, or -1 */
static int place(const char *text, const char *const *words, int n)
{
    int low = 0, high = n;
    if (text == NULL) return -1;
    while (low < high) {
        const int middle = (low + high) / 2, found = order(text, words[middle]);
        if (found == 0) return middle;
        if (found > 0) low = middle + 1; else high = middle;
    }
    return -1;
}
""",
    "is_gap": """/* whether a text, in small letters, is one of those that count as missing */
static int is_gap(const char *text, const char *const *gaps, int n)
{
    char plain[16];
    size_t i, length;
    if (text == NULL) return 1;
    length = trimmed(&text);
    if (length >= sizeof plain) return 0;
    for (i = 0; i < length; i++)
        plain[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    plain[length] = '\\0';
    return place(plain, gaps, n) >= 0;
}
""",
    "floored": """static int64_t floored(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}
""",
    "calendar": """/* year, month or day of days since 1970: Hinnant's civil_from_days */
static double calendar(int64_t day, int part)
{
    const int64_t era = floored(day + 719468, 146097), rest = day + 719468 - era * 146097;
    const int64_t y = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    const int64_t of_year = rest - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    if (part == 2) return (double)(of_year - (153 * m + 2) / 5 + 1);
    if (part == 1) return (double)(m < 10 ? m + 3 : m - 9);
    return (double)(y + era * 400 + (m >= 10));
}
""",
}

HELPERS = {f"act_{name}": text for name, text in ACTIVATIONS.items()} | _LAYERS | _COLUMNS
"""All of them, each behind those that it calls."""
