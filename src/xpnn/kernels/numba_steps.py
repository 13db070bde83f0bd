"""Training steps in one compiled call: in a small network calls would be most of a step.

Threads share a step. Each takes some of the batch's rows forward and back, on its own; then they
meet, and each learns some of the weights of every layer, for all rows. So the result does not
depend on the number of threads but for the rounding of BLAS.
"""

from xpnn.kernels import numba_loops as loops
from xpnn.kernels.numba_blas import product, product_of_columns, product_with_transposed
from xpnn.kernels.numba_loops import activate, drop_rows, jit, pull_back, update
from xpnn.kernels.numba_losses import loss_of_rows
from xpnn.kernels.numba_meeting import finished, meet, wait_for_work

PIECE = 1 << 19  # weights whose gradient is in the cache when they are updated
_NARROW = 128  # inputs, below which a layer's outputs are shared: few columns are a slow product


@jit
def _rows(first, last, n, begin, step, theta, data, plan, room):  # type: ignore[no-untyped-def]
    """Some rows of a batch forward and back: their loss, and the gradients before activations."""
    x, y, weight, order, over = data
    table, scales, keys, loss_code, blas, n_weights = plan
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
    db[:] = theta.dtype.type(0)
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


@jit
def _weights(part, parts, n, push, rate, shrink, vectors, plan, rule, room):  # type: ignore[no-untyped-def]
    """One thread's share of the weights: gradient and update, in pieces that stay in the cache.

    Returns the sum of their squares before the update if `push` asks for a penalty.
    """
    theta, m, v = vectors
    table, blas = plan[0], plan[4]
    code, hyper = rule
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
        i0, i1, j0, j1 = 0, n_in, 0, n_out
        if n_in >= n_out or n_in >= _NARROW:
            i0, i1 = n_in * part // parts, n_in * (part + 1) // parts
        else:  # a product of a few columns is slow
            j0, j1 = n_out * part // parts, n_out * (part + 1) // parts
        wide, most = j1 - j0, max(1, PIECE // n_out)
        for i in range(i0, i1, most):
            count = min(most, i1 - i)
            g = piece[: count * wide]
            product_of_columns(blas, entered[i:], dz[j0:], g, n, n_in, n_out, count, wide)
            whole = wide == n_out
            for r in range(1 if whole else count):
                a = wo + (i + r) * n_out + j0
                size = count * wide if whole else wide
                w, e = theta[a : a + size], a + size
                if push > 0:
                    for j in range(size):
                        squares += w[j] * w[j]
                gr = g[r * wide : r * wide + size]
                update(code, w, gr, m[a:e], v[a:e], rate, shrink, hyper, push, size)
    return squares


@jit
def _run(part, parts, boxes, let_others, vectors, data, plan, rule, room):  # type: ignore[no-untyped-def]
    """One thread's share of a call's steps; False if they were abandoned."""
    theta, m, v = vectors
    x, y, weight, order, batch = data
    n_weights = plan[5]
    rates, code, hyper, l2 = rule
    a_space, g_space, words, db, pieces, totals, job = room
    real, goal, steps, rows = theta.dtype.type, job[0], job[1], job[2]
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
        targets, mine = (x, y, weight, order, real(over)), (a_space, g_space, words[part], db[part])
        value = _rows(first, last, n, begin, step, theta, targets, plan, mine)
        goal += parts
        if not meet(boxes, goal, let_others):
            return False
        push, rate, shrink = real(l2 / over), rates[step, 0], rates[step, 1]
        some = (a_space, g_space, pieces[part])
        squares = _weights(part, parts, n, push, rate, shrink, vectors, plan, (code, hyper), some)
        if part == 0 and db.shape[1]:
            sums, k = db[0], n_weights
            for other in range(1, parts):
                for j in range(sums.shape[0]):
                    sums[j] += db[other, j]
            update(code, theta[k:], sums, m[k:], v[k:], rate, shrink, hyper, real(0), 0)
        totals[part] += (value + 0.5 * l2 * squares) * (n / over)
        goal += parts
        if not meet(boxes, goal, let_others):
            return False
    return True


@jit
def take_part(part, parts, boxes, let_others, vectors, data, plan, rule, room):  # type: ignore[no-untyped-def]
    """Thread `part` of `parts` works on calls while there are any; the caller, 0, works on one."""
    while part == 0 or wait_for_work(boxes, part, let_others):
        if not _run(part, parts, boxes, let_others, vectors, data, plan, rule, room):
            return False
        if part == 0:
            break
        finished(boxes, part)
    return True
