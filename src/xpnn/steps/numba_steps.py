"""Training steps in one compiled call: in a small network calls would be most of a step.

Threads share a step. Each takes some of the batch's rows forward and back, on its own; then they
meet, and each learns some of the weights. A large layer's gradient is made then, of all rows. Where
the weights are fewer than the batch's activations, each thread has made that of its rows before,
as less has to travel between the processors. So the number of threads changes rounding alone.
"""

from xpnn.steps import numba_loops as loops
from xpnn.steps.numba_barrier import finished, meet, wait_for_work
from xpnn.steps.numba_blas import product, product_of_columns, product_with_transposed
from xpnn.steps.numba_loops import activate, drop_rows, inner, jit, pull_back, update
from xpnn.steps.numba_losses import loss_of_rows

PIECE = 1 << 19  # weights whose gradient is in the cache when they are updated


@inner
def _rows(first, last, n, begin, step, theta, data, plan, room):  # type: ignore[no-untyped-def]
    """Some rows of a batch forward and back: their loss, and the gradients before activations."""
    x, y, weight, order, over = data
    table, scales, keys, loss_code, blas, n_weights, _ = plan
    a_space, g_space, words, db = room
    layers, count = table.shape[0] - 1, last - first
    width, kept = table[0, 1], table[0, 5]
    entered = a_space[first * width : last * width]
    gathered = entered.reshape((count, width))
    for i in range(count):
        row = order[begin + first + i]
        for j in range(width):
            gathered[i, j] = x[row, j]
    if kept < loops.KEEP_ALL:
        k0, k1 = keys[step, 0, 0], keys[step, 0, 1]
        drop_rows(gathered, kept, scales[0], k0, k1, first, words)

    value = 0.0
    for k in range(1, layers + 1):
        n_in, n_out, wo, bo = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
        at = n * table[k, 6]
        z = a_space[at + first * n_out : at + last * n_out]
        b = theta[bo : bo + n_out] if bo >= 0 else theta[:0]
        product(blas, entered, theta[wo : wo + n_in * n_out], z, count, n_in, n_out)
        square = z.reshape((count, n_out))
        if k < layers:
            k0, k1 = keys[step, k, 0], keys[step, k, 1]
            activate(square, b, table[k, 4], table[k, 5], scales[k], k0, k1, first, words)
        else:
            some = order[begin + first : begin + last]
            sums = db[bo - n_weights : bo - n_weights + n_out] if bo >= 0 else db[:0]
            value = loss_of_rows(loss_code, square, b, y, some, weight, over, sums)
        entered = z

    dz = entered
    for k in range(layers, 1, -1):
        n_in, n_out, wo, bo = table[k, 0], table[k, 1], table[k, 2], table[k - 1, 3]
        at, g_at = n * table[k - 1, 6], n * (table[k - 1, 6] - table[1, 6])
        below = a_space[at + first * n_in : at + last * n_in].reshape((count, n_in))
        dx = g_space[g_at + first * n_in : g_at + last * n_in]
        product_with_transposed(blas, dz, theta[wo : wo + n_in * n_out], dx, count, n_in, n_out)
        k0, k1 = keys[step, k - 1, 0], keys[step, k - 1, 1]
        sums = db[bo - n_weights : bo - n_weights + n_in] if bo >= 0 else db[:0]
        code, kept, scale = table[k - 1, 4], table[k - 1, 5], scales[k - 1]
        pull_back(dx.reshape((count, n_in)), below, sums, code, kept, scale, k0, k1, first, words)
        dz = dx
    return value


@inner
def update_of_weights(w, g, m, v, push, rate, shrink, rule):  # type: ignore[no-untyped-def]
    """Update some weights; the sum of their squares before it if `push` asks for a penalty."""
    squares = 0.0
    if push > 0:
        for j in range(w.shape[0]):
            squares += w[j] * w[j]
    update(rule[0], w, g, m, v, rate, shrink, rule[1], push, w.shape[0])
    return squares


@inner
def _gradient_of_rows(first, last, n, plan, room):  # type: ignore[no-untyped-def]
    """The weights' gradient of some of a batch's rows."""
    table, blas = plan[0], plan[4]
    a_space, g_space, g = room
    layers, count = table.shape[0] - 1, last - first
    for k in range(layers, 0, -1):
        n_in, n_out, wo = table[k, 0], table[k, 1], table[k, 2]
        entered = a_space[n * table[k - 1, 6] + first * n_in :]
        if k == layers:
            dz = a_space[n * table[k, 6] + first * n_out :]
        else:
            dz = g_space[n * (table[k, 6] - table[1, 6]) + first * n_out :]
        product_of_columns(blas, entered, dz, g[wo:], count, n_in, n_out, n_in)


@inner
def _summed_weights(part, parts, push, rate, shrink, vectors, n_weights, rule, gradients):  # type: ignore[no-untyped-def]
    """One thread's share of the weights, updated by the sum of all threads' gradients."""
    theta, m, v = vectors
    a, e = n_weights * part // parts, n_weights * (part + 1) // parts
    g = gradients[0, a:e]
    for other in range(1, parts):
        more = gradients[other, a:e]
        for j in range(g.shape[0]):
            g[j] += more[j]
    return update_of_weights(theta[a:e], g, m[a:e], v[a:e], push, rate, shrink, rule)


@inner
def _weights(part, parts, n, push, rate, shrink, vectors, plan, rule, room):  # type: ignore[no-untyped-def]
    """One thread's share of the weights: gradient and update, in pieces that stay in the cache.

    Returns the sum of their squares before the update if `push` asks for a penalty.
    """
    theta, m, v = vectors
    table, blas = plan[0], plan[4]
    a_space, g_space, piece = room
    layers, squares = table.shape[0] - 1, 0.0
    for k in range(layers, 0, -1):
        n_in, n_out, wo = table[k, 0], table[k, 1], table[k, 2]
        entered = a_space[n * table[k - 1, 6] : n * (table[k - 1, 6] + n_in)]
        if k == layers:
            dz = a_space[n * table[k, 6] : n * (table[k, 6] + n_out)]
        else:
            g_at = n * (table[k, 6] - table[1, 6])
            dz = g_space[g_at : g_at + n * n_out]
        stop, most = n_in * (part + 1) // parts, max(1, PIECE // n_out)
        for i in range(n_in * part // parts, stop, most):
            count = min(most, stop - i)
            a, e = wo + i * n_out, wo + (i + count) * n_out
            g, w = piece[: count * n_out], theta[a:e]
            product_of_columns(blas, entered[i:], dz, g, n, n_in, n_out, count)
            squares += update_of_weights(w, g, m[a:e], v[a:e], push, rate, shrink, rule)
    return squares


@jit
def take_part(part, parts, boxes, let_others, vectors, data, plan, rule, room):  # type: ignore[no-untyped-def]
    """Thread `part` of `parts` works on calls while there are any; the caller, 0, works on one.

    A thread's share of the loss goes to its place in the totals. False if a call was abandoned.
    """
    theta, m, v = vectors
    x, y, weight, order, batch = data
    n_weights, by_rows = plan[5], plan[6]
    rates, optimizer, l2 = rule
    a_space, g_space, words, db, pieces, totals, job = room
    real = theta.dtype.type
    while part == 0 or wait_for_work(boxes, part, let_others):
        goal, steps, rows = job[0], job[1], job[2]
        totals[part] = 0.0
        for step in range(steps):
            begin = step * batch
            n = min(batch, rows - begin)
            over = 0.0 if weight.shape[0] else float(n)
            if weight.shape[0]:
                for i in range(n):
                    over += weight[order[begin + i]]
                over = 1.0 if over == 0.0 else over
            first, last = n * part // parts, n * (part + 1) // parts
            targets = (x, y, weight, order, real(over))
            mine = (a_space, g_space, words[part], db[part])
            value = _rows(first, last, n, begin, step, theta, targets, plan, mine)
            if by_rows:
                _gradient_of_rows(first, last, n, plan, (a_space, g_space, pieces[part]))
            goal += parts
            if not meet(boxes, goal, let_others):
                return False
            push, rate, shrink = real(l2 / over), rates[step, 0], rates[step, 1]
            if by_rows:
                squares = _summed_weights(
                    part, parts, push, rate, shrink, vectors, n_weights, optimizer, pieces
                )
            else:
                some = (a_space, g_space, pieces[part])
                squares = _weights(
                    part, parts, n, push, rate, shrink, vectors, plan, optimizer, some
                )
            if part == 0 and db.shape[1]:
                sums, k = db[0], n_weights
                for other in range(1, parts):
                    for j in range(sums.shape[0]):
                        sums[j] += db[other, j]
                code, hyper = optimizer
                update(code, theta[k:], sums, m[k:], v[k:], rate, shrink, hyper, real(0), 0)
            totals[part] += (value + 0.5 * l2 * squares) * (n / over)
            goal += parts
            if not meet(boxes, goal, let_others):
                return False
        if part == 0:
            break
        finished(boxes, part)
    return True
