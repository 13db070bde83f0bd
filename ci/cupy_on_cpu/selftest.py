#!/usr/bin/env python3
"""Usage: VENV/bin/python selftest.py                 checks of this tool (needs array-api-compat), about a minute
VENV/bin/python selftest.py --cupy-tests [S]   CuPy's own tests from its sdist, a random sample of what S seconds a folder allow
"""

import os
import subprocess
import sys

if os.environ.get('CUPY_ON_CPU') != '1':
    os.environ['CUPY_ON_CPU'] = '1'
    os.execv(sys.executable, [sys.executable, *sys.argv])

FOLDERS = [
    'core_tests',
    'math_tests',
    'linalg_tests/test_product.py',
    'manipulation_tests',
    'indexing_tests',
    'logic_tests',
    'sorting_tests',
    'statistics_tests',
]


def cupy_tests(seconds):
    import collections
    import re
    import tarfile
    import tempfile

    import cupy

    pip = [sys.executable, '-m', 'pip', '-q', '--disable-pip-version-check']
    subprocess.run(
        [
            *pip,
            'install',
            'pytest',
            'hypothesis<6.55',
            'mpmath',
            'packaging',
            'pytest-timeout',
            'pytest-random-order',
            'scipy',
            'setuptools>=77,<86',
            'wheel',
            'Cython>=3.1,<3.3',
        ],
        check=True,
    )
    with tempfile.TemporaryDirectory() as t:
        subprocess.run(
            [*pip, 'download', '--no-deps', '--no-binary', 'cupy', '--no-build-isolation', f'cupy=={cupy.__version__}', '-d', t],
            check=True,
            env=dict(os.environ, CUPY_INSTALL_USE_STUB='1'),
            stdout=subprocess.DEVNULL,
        )
        with tarfile.open(f'{t}/cupy-{cupy.__version__}.tar.gz') as f:
            f.extractall(t, [m for m in f if '/tests/' in m.name or m.name.endswith('pyproject.toml')])
        total = collections.Counter()
        for folder in FOLDERS:
            log = os.path.join(os.environ.get('CUPY_ON_CPU_LOGS', t), folder.replace('/', '_') + '.log')
            command = [
                'timeout',
                '-s',
                'INT',
                str(seconds),
                sys.executable,
                '-m',
                'pytest',
                '-q',
                '-p',
                'no:cacheprovider',
                '--timeout',
                '60',
                '-rfE',
                '--random-order-bucket=global',
                '--random-order-seed=1',
                '--tb=short',
                '-m',
                'not slow and not multi_gpu',
                f'tests/cupy_tests/{folder}',
            ]
            with open(log, 'w') as f:
                subprocess.run(
                    command, cwd=f'{t}/cupy-{cupy.__version__}', stdout=f, stderr=subprocess.STDOUT, env=dict(os.environ, CUPY_ON_CPU_CXXFLAGS='-O0')
                )  # kernels compile faster
            text = open(log).read()
            found = collections.Counter({k: int(n) for n, k in re.findall(r'(\d+) (passed|failed|error|skipped)', text[-400:])})
            total += found
            cut = ' (stopped by the time limit)' if 'KeyboardInterrupt' in text else '' if found else ' (crashed)'
            print(f'{folder:32} {found["passed"]:6} passed {found["failed"] + found["error"]:6} failed {found["skipped"]:6} skipped{cut}', flush=True)
    print(f'{total["passed"]} passed, {total["failed"] + total["error"]} failed, {total["skipped"]} skipped')


if sys.argv[1:2] == ['--cupy-tests']:
    sys.exit(cupy_tests(int((sys.argv[2:] or [300])[0])))

import array_api_compat.cupy as xp  # noqa: E402
import array_api_compat.numpy as nxp  # noqa: E402
import cupy  # noqa: E402
import numpy as np  # noqa: E402

import cupy_on_cpu  # noqa: E402

random = np.random.default_rng(0)


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(cupy.asnumpy(a), b, rtol=tolerance, atol=tolerance)


def raises(error, text, function):
    try:
        function()
    except error as e:
        assert text in str(e), e
    else:
        raise AssertionError(f'no {error}')


def python(code, **env):
    return subprocess.run([sys.executable, '-c', 'import cupy, numpy as np\n' + code], env={**os.environ, **env}, capture_output=True, text=True)


def mlp(xp, w1, b1, w2, x, y, steps=5):
    """A hidden layer, softmax cross-entropy and momentum; returns the weights and the losses."""
    parameters, momenta, losses = [w1, b1, w2], [xp.zeros_like(p) for p in (w1, b1, w2)], []
    for _ in range(steps):
        w1, b1, w2 = parameters
        a = x @ w1 + b1
        h = xp.where(a > 0, a, xp.zeros_like(a))
        z = h @ w2
        z = z - xp.max(z, axis=1, keepdims=True)
        p = xp.exp(z) / xp.sum(xp.exp(z), axis=1, keepdims=True)
        losses.append(float(-xp.mean(xp.log(xp.sum(p * y, axis=1)))))
        dz = (p - y) / x.shape[0]
        da = xp.where(a > 0, dz @ w2.T, xp.zeros_like(a))
        gradients = [x.T @ da, xp.sum(da, axis=0), h.T @ dz]
        momenta = [0.9 * m + g for m, g in zip(momenta, gradients, strict=True)]
        parameters = [p - 0.1 * m for p, m in zip(parameters, momenta, strict=True)]
    return parameters, losses


def test_training_step_equals_numpy():
    data = [random.standard_normal(s).astype('f4') for s in ((8, 16), (16,), (16, 4), (32, 8))] + [np.eye(4, dtype='f4')[random.integers(0, 4, 32)]]
    (ours, our_losses), (theirs, their_losses) = mlp(xp, *map(xp.asarray, data)), mlp(nxp, *data)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        close(a, b)
    close(np.array(our_losses), their_losses)
    assert our_losses[-1] < our_losses[0]


def test_elementwise_kernel():
    adam = cupy.ElementwiseKernel(
        'T g, T rate', 'T p, T m, T v', 'm = T(0.9) * m + T(0.1) * g; v = T(0.99) * v + T(0.01) * g * g; p -= rate * m / (sqrt(v) + T(0.01));', 'adam'
    )
    for dtype in 'efd':
        g, p = random.standard_normal((2, 37, 29)).astype(dtype)
        P, M, V = cupy.asarray(p).T, cupy.zeros((29, 37), dtype), cupy.zeros((29, 37), dtype)  # a transposed view
        adam(cupy.asarray(g).T, 0.01, P, M, V)
        close(P, (p - 0.01 * 0.1 * g.astype('d') / (np.sqrt(0.01 * g.astype('d') ** 2) + 0.01)).T, {'e': 1e-2, 'f': 1e-5, 'd': 1e-12}[dtype])


def test_raw_kernel_with_barriers_and_warps():
    source = r"""
    template <class T> __device__ T warp_sum(T x) { for (int d = 16; d; d /= 2) x += __shfl_down_sync(0xffffffff, x, d); return x; }
    extern "C" __global__ void block_sum(const float* x, float* out, int n) {
        extern __shared__ float parts[];
        __shared__ float result;
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        float s = warp_sum(i < n ? x[i] : 0.f);
        if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = s;
        __syncthreads();
        if (threadIdx.x < 32) { s = warp_sum(threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0.f); if (threadIdx.x == 0) result = s; }
        __syncthreads();
        if (threadIdx.x == blockDim.x - 1) atomicAdd(out, result);
    }
    template <class T> __global__ void twice(T* x) { x[threadIdx.x] *= 2; }"""
    x, out = cupy.asarray(random.standard_normal(1000).astype('f')), cupy.zeros(1, 'f')
    cupy.RawKernel(source, 'block_sum')((4,), (256,), (x, out, np.int32(1000)), shared_mem=32)
    close(out, [x.get().sum()], 1e-4)
    module = cupy.RawModule(code=source, name_expressions=['twice<double>', 'twice<int>'])
    for t in ('double', 'int'):
        a = cupy.arange(5).astype(t if t == 'double' else 'i4')
        module.get_function(f'twice<{t}>')((1,), (5,), (a,))
        close(a, [0, 2, 4, 6, 8])


def test_reductions_and_indexing():
    for dtype in ('f4', 'f8', 'i4', 'i8', 'f2', 'c8'):
        a = (random.standard_normal((7, 33, 5)) * 10).astype(dtype)
        A, tolerance = cupy.asarray(a), 5e-2 if dtype == 'f2' else 1e-4
        for axis in (None, 0, 1, 2, (0, 2)):
            close(A.sum(axis=axis, dtype='c16'), a.astype('c16').sum(axis=axis), tolerance)
            close(A.mean(axis=axis), a.mean(axis=axis), tolerance)
            if dtype != 'c8':
                close(A.max(axis=axis), a.max(axis=axis))
        close(A.argmax(axis=1), a.argmax(axis=1))
        close(cupy.cumsum(A[0], axis=0), np.cumsum(a[0], axis=0), tolerance)
        i = random.integers(0, 7, 11)
        close(A[cupy.asarray(i)], a[i])
        close(A[:, cupy.asarray(i), 1:3], a[:, i, 1:3])
        close(cupy.take(A, cupy.asarray(i), axis=1), np.take(a, i, axis=1))
        close(A[A.real > 3], a[a.real > 3])
        close(cupy.where(A.real > 0, A, 1), np.where(a.real > 0, a, 1))
        close(cupy.concatenate([A, A[:, ::-1]], axis=1), np.concatenate([a, a[:, ::-1]], axis=1))
        A[1:3, ::2] += 1
        a[1:3, ::2] += 1
        A[cupy.asarray(i)], a[i] = 5, 5
        close(A, a)
        if dtype != 'c8':
            close(cupy.sort(A, axis=1), np.sort(a, axis=1))
            close(cupy.argsort(A[:, :, 0], axis=1), np.argsort(a[:, :, 0], axis=1, kind='stable'))
            close(cupy.lexsort(A[:2, :, 0]), np.lexsort(a[:2, :, 0]))
    close(cupy.asarray([0, 1, 0]).choose(cupy.asarray([[1, 2, 3], [4, 5, 6]])), [1, 5, 3])


def test_products():
    for dtype, tolerance in (('f2', 2e-2), ('f4', 1e-4), ('f8', 1e-12), ('c8', 1e-4), ('c16', 1e-12)):
        a, b = (random.standard_normal(s).astype(dtype) for s in ((3, 17, 300), (3, 300, 19)))
        A, B = cupy.asarray(a), cupy.asarray(b)
        wide = np.promote_types(dtype, 'f8')
        close((A @ B) / 17, (a.astype(wide) @ b.astype(wide)) / 17, tolerance)
        close((B[0].T @ A[1].T) / 17, (b[0].T.astype(wide) @ a[1].T.astype(wide)) / 17, tolerance)
        close(A[0] @ B[0, :, 0] / 17, a[0].astype(wide) @ b[0, :, 0].astype(wide) / 17, tolerance)
        close(cupy.vdot(A[0, 0], B[0, :, 0]) / 17, np.vdot(a[0, 0].astype(wide), b[0, :, 0].astype(wide)) / 17, tolerance)


def test_two_devices():
    assert cupy.cuda.runtime.getDeviceCount() == 2 and cupy.is_available()
    with cupy.cuda.Device(1):
        b = cupy.arange(3)
        assert b.device.id == 1 and int(b.sum()) == 3
    a = cupy.arange(3)
    raises(ValueError, 'Peer access is unavailable', lambda: a + b)
    raises(Exception, '', lambda: a.astype('f4') @ b.astype('f4'))
    raises(Exception, 'invalid device ordinal', cupy.cuda.Device(2).use)
    close(xp.asarray(b, device=cupy.cuda.Device(0)) + a, [0, 2, 4])


def test_what_is_missing_raises():
    a = cupy.eye(3)
    for function in (
        lambda: cupy.random.default_rng(0).standard_normal(3),
        lambda: cupy.random.RandomState(0).normal(size=3),
        lambda: cupy.random.rand(3),
        lambda: cupy.linalg.solve(a, a),
        lambda: cupy.linalg.svd(a),
        lambda: cupy.linalg.cholesky(a),
        lambda: cupy.fft.fft(a),
        lambda: cupy.linalg.qr(a),
        lambda: cupy.linalg.eigh(a),
        lambda: cupy.linalg.inv(a),
    ):
        raises(Exception, '', function)


def test_memory_is_poisoned():
    for _ in range(3):  # also when CuPy's memory pool reuses a block
        a = cupy.empty(1000, 'f4')
        assert np.isnan(a.get()).all()
        a[:] = 1
        del a
    assert cupy.get_default_memory_pool().total_bytes() > 0


def test_counters_and_forbid_host_sync():
    a = cupy.ones((4, 4), 'f4')
    a @ a + 1
    with cupy_on_cpu.count() as c:
        b = a @ a + 1
    assert (c['launches'], c['gemms'], c['d2h'], c['h2d'], c['synchronisations']) == (1, 1, 0, 0, 0), c
    assert c['kernels'] == ['cupy_add__float32_float_float32'] or len(c['kernels']) == 1
    with cupy_on_cpu.forbid_host_sync():
        b = b * 2

    def bad():
        with cupy_on_cpu.forbid_host_sync():
            float(b[0, 0])

    raises(cupy_on_cpu.HostSyncError, f'selftest.py:{bad.__code__.co_firstlineno + 2}', bad)
    float(b[0, 0])


def test_graphs():
    add = cupy.RawKernel('extern "C" __global__ void add(float* a, long long n, double v) { if (threadIdx.x < n) a[threadIdx.x] += v; }', 'add')
    a, stream = cupy.zeros(5, 'f4'), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        add((1,), (5,), (a, 5, 2.0))
        add((1,), (5,), (a, 4, 1.0))
        graph = stream.end_capture()
    assert a.get().tolist() == [0] * 5
    for _ in range(2):
        graph.launch()
    assert a.get().tolist() == [6, 6, 6, 6, 4]
    with stream:
        stream.begin_capture()
        raises(Exception, 'an allocation while a stream is captured', lambda: cupy.empty(10**7))
        stream.end_capture()


def test_bad_pointers_and_launches_raise():
    host = np.zeros(4, 'f4')
    kernel = 'k = cupy.RawKernel(\'extern "C" __global__ void k(float* x, int n) { %s }\', "k"); x = cupy.zeros(8, "f4")\n'
    done = '\ncupy.cuda.Device().synchronize(); print("not seen")'
    write = 'if (threadIdx.x < n) x[threadIdx.x] = 1;'
    for body, launch, text, env in (
        (write, f'k((1,), (4,), (np.uint64({host.ctypes.data}), np.int32(4)))', 'not device memory', {}),
        (write, 'k((1,), (2000,), (x, np.int32(4)))', 'bad launch', {}),
        (write, 'k((1,), (32,), (x, np.int32(9)))', 'out-of-bounds write', {'CUPY_ON_CPU_GUARD': '1'}),
        ('if (threadIdx.x == 0) __syncthreads(); else __syncwarp();', 'k((1,), (32,), (x, np.int32(4)))', 'different barriers', {}),
        ('extern __shared__ float s[]; s[4] = 1;', 'k((1,), (1,), (x, np.int32(4)), shared_mem=16)', 'dynamic shared memory', {}),
    ):
        result = python(kernel % body + launch + done, **env)
        if 'uint64' in launch:  # typed pointers only: pass the address as an array on a fake device
            result = python(
                kernel % body
                + 'm = cupy.cuda.UnownedMemory(np.zeros(99).ctypes.data, 64, None, 0)\ny = cupy.ndarray(8, "f4", cupy.cuda.MemoryPointer(m, 0))\n'
                + 'k((1,), (4,), (y, np.int32(4)))'
                + done,
                **env,
            )
        assert text in result.stderr and 'not seen' not in result.stdout and result.returncode == 1, (text, result)


def test_shuffled_order_exposes_races():
    code = """k = cupy.RawKernel('extern "C" __global__ void k(int* x) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i) x[i] = x[i - 1] + 1; }', 'k')
x = cupy.zeros(64, 'i4'); k((4,), (16,), (x,)); print(x.get().tolist() == list(range(64)))"""
    assert python(code).stdout == 'True\n' and python(code, CUPY_ON_CPU_SHUFFLE='7').stdout == 'False\n'


def test_concurrent_processes_share_an_empty_cache():
    import tempfile

    with tempfile.TemporaryDirectory() as t:
        code = 'assert int((cupy.arange(10) ** 3 + 1).sum()) == 2035'
        jobs = [subprocess.Popen([sys.executable, '-c', 'import cupy\n' + code], env={**os.environ, 'CUPY_CACHE_DIR': t}) for _ in range(4)]
        assert [j.wait() for j in jobs] == [0] * 4


def test_off_switch():
    result = python('', CUPY_ON_CPU='0')
    assert 'ImportError' in result.stderr and 'CUPY_ON_CPU=1' in result.stderr


if __name__ == '__main__':
    import traceback

    failed = 0
    tests = {n: f for n, f in list(globals().items()) if n.startswith('test_')}
    for name, test in tests.items():
        try:
            test()
            print('passed', name, flush=True)
        except Exception:
            failed += 1
            print('FAILED', name, flush=True)
            traceback.print_exc()
    print(f'{len(tests) - failed} passed, {failed} failed')
    sys.exit(failed > 0)
