"""Runs CuPy's own code on the CPU. Switched on by CUPY_ON_CPU=1 before Python starts (see README.md).

Installed by build.py together with a CuPy whose CUDA calls go to libcupy_on_cpu.so.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib.machinery
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get('CUPY_ON_CPU_CACHE') or os.path.expanduser('~/.cache/cupy_on_cpu')
COUNTERS = ('launches', 'gemms', 'h2d', 'd2h', 'd2d', 'memsets', 'synchronisations', 'allocations', 'h2d_bytes', 'd2h_bytes')
FLAGS = [
    '-std=c++17',
    '-O2',
    '-w',
    '-fpermissive',
    '-march=native',
    '-fPIC',
    '-shared',
    '-fvisibility=hidden',
    '-ffp-contract=off',
    '-fno-strict-aliasing',
    *os.environ.get('CUPY_ON_CPU_CXXFLAGS', '').split(),
]
NOT_AVAILABLE = {'cupy.cuda.cufft', *(f'cupy_backends.cuda.libs.{n}' for n in ('curand', 'cusolver', 'cusparse', 'cusparselt', 'cutensor', 'nccl'))}
# What getDeviceProperties() says: the limits of an H100.
DEVICE_PROPERTIES = {
    'name': b'CPU (cupy_on_cpu)',
    'totalGlobalMem': 8 << 30,
    'sharedMemPerBlock': 49152,
    'regsPerBlock': 65536,
    'warpSize': 32,
    'maxThreadsPerBlock': 1024,
    'maxThreadsDim': (1024, 1024, 64),
    'maxGridSize': (2147483647, 65535, 65535),
    'clockRate': 1755000,
    'totalConstMem': 65536,
    'major': 9,
    'minor': 0,
    'multiProcessorCount': 132,
    'maxThreadsPerMultiProcessor': 2048,
    'sharedMemPerMultiprocessor': 233472,
    'sharedMemPerBlockOptin': 232448,
    'regsPerMultiprocessor': 65536,
    'l2CacheSize': 52428800,
    'concurrentKernels': 1,
    'computeMode': 0,
    'integrated': 0,
    'canMapHostMemory': 1,
    'managedMemory': 1,
    'unifiedAddressing': 1,
    'pciBusID': 0,
    'pciDeviceID': 0,
    'pciDomainID': 0,
    'uuid': b'cupy_on_cpu-----',
}
_library = None
GRAPHS = True  # streams can be captured


class HostSyncError(RuntimeError):
    """A device-to-host copy or a synchronisation inside forbid_host_sync()."""


def library_path():
    return os.path.join(HERE, 'libcupy_on_cpu.so')


# ---- counters and checks -----------------------------------------------------------------------------------
def counters():
    """Counts since the process started, as a dict."""
    return dict(zip(COUNTERS, (ctypes.c_long * len(COUNTERS)).in_dll(_library, 'cupy_on_cpu_counters'), strict=True))


@contextlib.contextmanager
def count():
    """`with count() as c:` fills the dict c, on leaving, with what happened inside (and c['kernels'])."""
    result, before, kernels = {}, counters(), []
    with _callback('cupy_on_cpu_on_launch', lambda name: kernels.append(name.decode())):
        yield result
    result.update({k: v - before[k] for k, v in counters().items()}, kernels=kernels)


@contextlib.contextmanager
def forbid_host_sync():
    """Raises, naming the Python line, on any device-to-host copy or synchronisation inside the block."""
    seen = []

    def on_host_sync(what):
        frame = sys._getframe(1)
        while frame and f'{os.sep}cupy' in frame.f_code.co_filename and 'site-packages' in frame.f_code.co_filename:
            frame = frame.f_back
        where = f'{frame.f_code.co_filename}:{frame.f_lineno}' if frame else 'unknown line'
        seen.append(f'{what.decode()} in forbid_host_sync() at {where}')
        _library.cupy_on_cpu_set_message(seen[-1].encode())

    try:
        with _callback('cupy_on_cpu_on_host_sync', on_host_sync):
            yield
    except Exception as e:
        if seen:
            raise HostSyncError(seen[0]) from e
        raise
    if seen:  # somebody caught CuPy's exception
        raise HostSyncError(seen[0])


@contextlib.contextmanager
def _callback(name, function):
    slot = ctypes.c_void_p.in_dll(_library, name)
    previous, wrapped = slot.value, ctypes.CFUNCTYPE(None, ctypes.c_char_p)(function)
    slot.value = ctypes.cast(wrapped, ctypes.c_void_p).value
    try:
        yield
    finally:
        slot.value = previous


# ---- compiling kernels ---------------------------------------------------------------------------------------
def _without_comments(source):
    return re.sub(r'//[^\n]*|/\*.*?\*/', lambda m: re.sub(r'[^\n]', ' ', m.group()), source, flags=re.S)


def _extern_c_regions(source):
    for m in re.finditer(r'extern\s+"C"\s*\{', source):
        depth, i = 1, m.end()
        while depth and i < len(source):
            depth += {'{': 1, '}': -1}.get(source[i], 0)
            i += 1
        yield m.end(), i


def _kernel_source(source, name_expressions):
    """Returns the C++ text for g++ and the mapping of name expressions to kernel names."""
    source = re.sub(r'extern\s+__shared__\s+(.+?)\s+(\w+)\s*\[\s*\]\s*;', r'static \1* const \2 = reinterpret_cast<\1*>(cupy_on_cpu_dynamic_shared);', source)
    source = re.sub(r'extern\s+__shared__\s+', 'extern __shared__ /* unsupported: not NAME[] */ ', source)
    plain = _without_comments(source)
    regions = list(_extern_c_regions(plain))
    bounds = r'(?:__launch_bounds__\s*\([^)]*\)\s*)?'
    kernels = [
        m
        for m in re.finditer(rf'(extern\s+"C"\s+)?__global__\s+{bounds}void\s+{bounds}(\w+)\s*\(', plain)
        if m[1] or any(a <= m.start() < b for a, b in regions)
    ]
    for m in reversed(kernels):  # a function of the same name may exist (CuPy's cupy_byteswap)
        source = f'{source[: m.start(2)]}cupy_on_cpu_kernel_{source[m.start(2) :]}'
    barriers = str(bool(re.search(r'__sync|__shfl|__ballot|__any|__all|_REDUCE|cooperative_groups', plain))).lower()
    lines = [f'CUPY_ON_CPU_KERNEL({n}, {barriers}, cupy_on_cpu_kernel_{n})' for n in dict.fromkeys(m[2] for m in kernels)]
    mapping = {}
    for i, expression in enumerate(name_expressions or ()):
        mapping[expression] = f'name_expression_{i}'
        lines.append(f'CUPY_ON_CPU_KERNEL({mapping[expression]}, {barriers}, {expression})')
    for a, b in regions:  # __device__ and __constant__ variables reachable by name
        for m in re.finditer(r'(?:__device__|__constant__)\s+[\w ]+?\s+(\w+)\s*(?:\[[^\]]*\])?\s*(?:=[^;]*)?;', plain[a:b]):
            lines.append(f'CUPY_ON_CPU_GLOBAL({m[1]})')
    return source + '\n' + '\n'.join(lines) + '\n', mapping


@functools.lru_cache(None)
def _compiler_directory():
    """A directory with the precompiled kernel_shim.h; its name is a hash of everything that matters."""
    import cupy

    include = os.path.join(os.path.dirname(cupy.__file__), '_core', 'include')
    with open(os.path.join(HERE, 'kernel_shim.h')) as f:
        shim = f.read()
    version = subprocess.run(['g++', '-v', '-march=native', '-E', '-x', 'c++', '/dev/null'], capture_output=True, text=True, check=True)
    target = re.findall(r'gcc version.*|-march=\S+', version.stderr)
    key = hashlib.sha256(repr((shim, FLAGS, include, cupy.__version__, target)).encode()).hexdigest()[:16]
    flags = FLAGS + [f'-I{include}'] + [f'-I{include}/cupy/_cccl/{d}' for d in ('thrust', 'libcudacxx', 'cub')]
    directory = os.path.join(CACHE, 'kernel_compiler', key)
    if not os.path.exists(f'{directory}/kernel_shim.h.gch'):
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(directory)) as t:
            with open(f'{t}/kernel_shim.h', 'w') as f:
                f.write(shim)
            _run(['g++', *flags, '-x', 'c++-header', f'{t}/kernel_shim.h', '-o', f'{t}/kernel_shim.h.gch'])
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(t, directory)
            os.makedirs(t, exist_ok=True)
    return directory, flags, key


def _run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f'{" ".join(command)}\n{result.stderr}')


def _compile(source, options=(), arch=None, filename='kern.cu', name_expressions=None, log_stream=None, cache_in_memory=False, jitify=None, method=None):
    """Stands in for cupy.cuda.compiler._compile_using_nvrtc_no_warning; CuPy caches the result on disk."""
    from cupy.cuda import compiler

    directory, flags, _ = _compiler_directory()
    capture = os.environ.get('CUPY_ON_CPU_CAPTURE')
    if capture:
        os.makedirs(capture, exist_ok=True)
        record = json.dumps({'source': source, 'options': list(options), 'name_expressions': list(name_expressions or ())})
        with tempfile.NamedTemporaryFile('w', dir=capture, delete=False) as f:
            f.write(record)
        os.replace(f.name, os.path.join(capture, hashlib.sha256(record.encode()).hexdigest()[:24] + '.json'))
    body, mapping = _kernel_source(source, name_expressions)
    user_flags = [o for o in options if re.match(r'-[DUI]', o) and '/cupy/_core/include' not in o]
    with tempfile.TemporaryDirectory() as t:
        with open(f'{t}/kernel.cpp', 'w') as f:
            f.write(body)
        command = ['g++', *flags, *user_flags, '-include', f'{directory}/kernel_shim.h', f'{t}/kernel.cpp', '-o', f'{t}/kernel.so']
        try:
            try:
                _run(command)
            except RuntimeError as e:
                if 'section type conflict' not in str(e):
                    raise
                _run([*command, '-DCUPY_ON_CPU_PLAIN_SHARED'])
        except RuntimeError as e:
            raise compiler.CompileException(str(e), source, filename, options, 'g++') from None
        with open(f'{t}/kernel.so', 'rb') as f:
            return f.read(), mapping or None


# ---- switching on --------------------------------------------------------------------------------------------
def _poisoning_allocator(pool_malloc, size):
    memory = pool_malloc(size)
    _library.cupy_on_cpu_poison(ctypes.c_void_p(memory.ptr), ctypes.c_size_t(size))
    return memory


def _missing(what):
    def function(*args, **kwargs):
        raise NotImplementedError(f'{what}, which is not available on the CPU')

    return function


def _prepare():
    """Runs just before `import cupy`: no NVIDIA library or header is to be looked for."""
    import cuda.pathfinder as pathfinder

    pathfinder.find_nvidia_header_directory = lambda name: HERE
    pathfinder.load_nvidia_dynamic_lib = lambda name: None


def _configure(cupy):
    """Runs once, right after `import cupy`."""
    from cupy.cuda import compiler

    compiler._compile_using_nvrtc_no_warning = _compile
    compiler._get_nvrtc_version = lambda: (13, 0)
    compiler._preprocess = lambda *a: _compiler_directory()[2]  # part of CuPy's cache key
    cupy.cuda.cub.available = False
    for name in ('default_rng', 'Generator', 'BitGenerator', 'XORWOW', 'MRG32k3a', 'Philox4x3210'):
        setattr(cupy.random, name, _missing(f'cupy.random.{name} needs cuRAND'))
    if os.environ.get('CUPY_ON_CPU_GUARD') == '1':  # every array its own allocation
        cupy.cuda.set_allocator(None)
    elif os.environ.get('CUPY_ON_CPU_POISON') != '0':
        cupy.cuda.set_allocator(functools.partial(_poisoning_allocator, cupy.get_default_memory_pool().malloc))


class _CupyFinder:
    """Finds `cupy` in the usual way, and calls _configure() when it has been imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in NOT_AVAILABLE:
            raise ImportError(f'{name} is not available on the CPU', name=name)
        if name != 'cupy':
            return None
        if _library is None:
            raise ImportError('the CuPy in this environment runs on the CPU: set CUPY_ON_CPU=1 to use it', name='cupy')
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec:
            execute = spec.loader.exec_module

            def exec_module(module):
                _prepare()
                execute(module)
                _configure(module)

            spec.loader.exec_module = exec_module
        return spec


def activate():
    global _library
    _library = ctypes.CDLL(library_path(), mode=ctypes.RTLD_GLOBAL)
    if os.environ.get('CUPY_ON_CPU_CAPTURE'):  # a cache of its own: what is in it has been captured, by whichever process
        os.environ['CUPY_CACHE_DIR'] = os.path.join(os.environ['CUPY_ON_CPU_CAPTURE'], 'cache')
    os.environ.setdefault('CUPY_CACHE_DIR', os.path.join(CACHE, 'kernels'))
    os.environ.setdefault('CUPY_ACCELERATORS', '')  # no CUB


def install_hook():
    """Called by cupy_on_cpu.pth in every Python process of the environment."""
    if os.environ.get('CUPY_ON_CPU') == '1':
        activate()
    sys.meta_path.insert(0, _CupyFinder)
