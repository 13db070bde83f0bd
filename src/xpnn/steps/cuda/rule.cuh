// How far any built-in optimizer moves a parameter against its gradient, see xpnn.parts.optimizers.
__device__ T move_of(
    const int name, const T g, T* m, T* v, const double step, const double b1, const double b2,
    const double epsilon)
{
    switch (name) {
    case MOMENTUM_RULE: *m = (T)b1 * *m - (T)step * g; return -*m;
    case NESTEROV: *m = (T)b1 * *m - (T)step * g; return (T)step * g - (T)b1 * *m;
    case ADAGRAD: *m += g * g; return (T)step * g / (sqrt(*m) + (T)epsilon);
    case RMSPROP:
        *m = (T)b1 * *m + (T)(1.0 - b1) * (g * g);
        return (T)step * g / (sqrt(*m) + (T)epsilon);
    case ADAM:
        *m = (T)b1 * *m + (T)(1.0 - b1) * g;
        *v = (T)b2 * *v + (T)(1.0 - b2) * (g * g);
        return (T)step * *m / (sqrt(*v) + (T)epsilon);
    }
    return (T)step * g;
}

