#!/usr/bin/env python3
"""Usage: build.py VENV    Installs a CuPy that runs on the CPU into an existing virtual environment.

Takes CuPy's sdist from PyPI, points its stub CUDA headers at libcupy_on_cpu.so and builds it in stub mode
(minutes, once; the wheel is kept in ~/.cache/cupy_on_cpu or $CUPY_ON_CPU_CACHE), then adds ./cupy_on_cpu.
"""

import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

VERSION = '14.2.0'
SDIST_SHA256 = 'cfed725e612178cfbdbf62f4a3a598b60edecbbca718c0d4580c21a16ae4a62c'
BUILD_TOOLS = ['setuptools>=77', 'wheel', 'Cython>=3.1,<3.3,!=3.2.6', 'numpy>=2,<2.6']
HERE = pathlib.Path(__file__).resolve().parent / 'cupy_on_cpu'
CACHE = pathlib.Path(os.environ.get('CUPY_ON_CPU_CACHE') or pathlib.Path.home() / '.cache/cupy_on_cpu')
SOURCES = [HERE / 'runtime.cpp', HERE / 'libraries.cpp', HERE / 'graphs.cpp']
# What a function we do not implement returns, by its return type; a function of any other type aborts.
UNSUPPORTED = {
    'cudaError_t': 801,
    'int': 801,
    'cublasStatus_t': 15,
    'cusolverStatus_t': 9,
    'cusparseStatus_t': 10,
    'curandStatus_t': 201,
    'cufftResult': 16,
    'cufftResult_t': 16,
    'ncclResult_t': 5,
    'cutensorStatus_t': 15,
}
HARMLESS = re.compile(r'nvtx|ProfilerSt')  # markers for a profiler: do nothing


def run(*command, **options):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode:
        sys.exit(f'build.py: failed: {" ".join(map(str, command))}\n{result.stdout[-6000:]}')
    return result.stdout


def our_signatures():
    """{function: parameters} of every API(...) in our sources, after the preprocessor."""
    text = ''.join(run('g++', '-std=c++17', '-E', '-P', f) for f in SOURCES)
    return dict(re.findall(r'visibility\("default"\)\)\)\s+[\w ]+?[ *]+cupy_on_cpu_(\w+)\s*\(([^)]*)\)\s*\{', text))


def replace(path, old, new):
    text = path.read_text()
    if text.count(old) != 1:
        sys.exit(f'build.py: {path} has {text.count(old)} times: {old}')
    path.write_text(text.replace(old, new))


def patch(cupy):
    """Points CuPy's stubs at our library; returns [(function, return type)] of those we do not implement."""
    ours, missing = our_signatures(), {}
    stub = re.compile(r'^[ \t]*((?:const )?\w+\*?) +(\w+)\(([^)]*)\)\s*\{(?:\}|\n(?:[ \t]+[^\n]*\n)*?[ \t]*\})$', re.M)

    def declare(m):
        kind, name = m[1], m[2]
        if name not in ours:
            missing[name] = kind
        return f'{kind} {name}({ours.get(name, m[3])}) __asm__("cupy_on_cpu_{name}");'

    mixed = [cupy / 'cupy' / f for f in ('cuda/cupy_thrust.h', 'cuda/cupy_cub.h', 'cuda/cupy_cufft.h', 'random/cupy_distributions.cuh')]
    for header in sorted((cupy / 'cupy_backends/stub').glob('*.h')) + mixed:
        text, start = header.read_text(), 0
        if header in mixed:  # these also hold the CUDA and HIP versions; the stubs come after the last #else
            start = list(re.finditer(r'^#else\b.*$', text, re.M))[-1].end()
        includes = '\n#include <cstddef>\n#include <cstdint>\n#include <vector>\n' if 'thrust' in header.name else ''
        header.write_text(text[:start] + includes + stub.sub(declare, text[start:]))
        left = re.findall(r'return \w*success', header.read_text()[start:], re.I)
        if left:
            sys.exit(f'build.py: {header} still has {len(left)} stubs that do nothing')
    common = cupy / 'cupy_backends/stub/cupy_cuda_common.h'
    replace(common, '#define CUDA_VERSION 0', '#include <cstddef>\n#include <cstdint>\n#define CUDA_VERSION 0')
    # The driver and NVRTC are looked up by name at run time, in our library.
    for file, prefix in (('api/_driver_extern.pxi', 'cu'), ('api/_runtime_softlink.pxi', 'cuda'), ('libs/_cnvrtc.pxi', 'nvrtc')):
        path = cupy / 'cupy_backends/cuda' / file
        replace(path, f"cdef str prefix = '{prefix}'", f"cdef str prefix = 'cupy_on_cpu_{prefix}'")
        replace(path, 'cdef object libname = None', "cdef object libname = __import__('cupy_on_cpu').library_path()")
    runtime = cupy / 'cupy_backends/cuda/api/runtime.pyx'
    replace(runtime, "        raise ValueError('Fetching memory unsupported.')", '        return cupy_on_cpu_memory_type(<void*>ptr)')
    replace(
        runtime,
        """    ELSE:  # for RTD
        return None
""",
        """    ELSE:
        return PointerAttributes(cupy_on_cpu_memory_device(<void*>ptr), ptr, 0 if cupy_on_cpu_memory_type(<void*>ptr) == 2 else ptr,
                                 cupy_on_cpu_memory_type(<void*>ptr))
""",
    )
    replace(
        runtime,
        'cpdef getDeviceProperties(int device):\n',
        """cpdef getDeviceProperties(int device):
    check_status(cudaGetDeviceProperties(NULL, device))
    return __import__('cupy_on_cpu').DEVICE_PROPERTIES.copy()
""",
    )
    replace(
        runtime,
        "cdef extern from '../../cupy_backend_runtime.h' nogil:\n    bint hip_environment",
        "cdef extern from '../../cupy_backend_runtime.h' nogil:\n    bint hip_environment\n    int cupy_on_cpu_memory_type(const void*)\n    int cupy_on_cpu_memory_device(const void*)",
    )
    header = cupy / 'cupy_backends/stub/cupy_cuda_runtime.h'
    replace(
        header,
        'bool hip_environment = false;',
        'bool hip_environment = false;\nint cupy_on_cpu_memory_type(const void*);\nint cupy_on_cpu_memory_device(const void*);',
    )
    return sorted(missing.items())


def unimplemented_source(missing):
    lines = ['#include <cstdlib>', 'extern "C" int cupy_on_cpu_unimplemented(const char*, int);']
    for name, kind in missing:
        if HARMLESS.search(name):
            body = 'return 0;'
        elif kind in UNSUPPORTED:
            body = f'return cupy_on_cpu_unimplemented("{name}", {UNSUPPORTED[kind]});'
        else:
            body = f'cupy_on_cpu_unimplemented("{name}", 0); abort();'
        lines.append(f'extern "C" __attribute__((visibility("default"))) long cupy_on_cpu_{name}() {{ {body} }}')
    return '\n'.join(lines) + '\n'


def build_wheel(python, directory):
    """Builds CuPy's wheel and unimplemented.cpp into `directory`."""
    with tempfile.TemporaryDirectory(prefix='cupy_on_cpu_build_') as t:
        t = pathlib.Path(t)
        run(python, '-m', 'venv', t / 'env')
        pip = [t / 'env/bin/python', '-m', 'pip', '-q', '--disable-pip-version-check']
        env = dict(
            os.environ, CUPY_INSTALL_USE_STUB='1', CUPY_NUM_BUILD_JOBS=str(os.cpu_count()), CFLAGS='-O0 -g0 -fpermissive -w', CXXFLAGS='-O0 -g0 -fpermissive -w'
        )
        run(*pip, 'install', *BUILD_TOOLS)
        run(*pip, 'download', '--no-deps', '--no-binary', 'cupy', '--no-build-isolation', f'cupy=={VERSION}', '-d', t, env=env)
        sdist = t / f'cupy-{VERSION}.tar.gz'
        if hashlib.sha256(sdist.read_bytes()).hexdigest() != SDIST_SHA256:
            sys.exit(f'build.py: {sdist.name} is not the file this tool was written for')
        tarfile.open(sdist).extractall(t)
        missing = patch(t / f'cupy-{VERSION}')
        run(*pip, 'wheel', '--no-deps', '--no-build-isolation', '-w', t / 'wheel', t / f'cupy-{VERSION}', env=env)
        directory.mkdir(parents=True)
        (directory / 'unimplemented.cpp').write_text(unimplemented_source(missing))
        shutil.move(next((t / 'wheel').glob('*.whl')), directory)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    began = time.time()
    python = pathlib.Path(sys.argv[1]).absolute() / 'bin/python'
    if not python.exists():
        sys.exit(f'build.py: no virtual environment at {sys.argv[1]}')
    if platform.machine() != 'x86_64' or sys.platform != 'linux' or not shutil.which('g++'):
        sys.exit('build.py: needs Linux on x86-64 and g++')
    tag, site = run(
        python,
        '-c',
        'import sys, sysconfig; assert sys.version_info >= (3, 11), sys.version; print(sys.implementation.cache_tag, sysconfig.get_path("platlib"))',
    ).split()
    package = pathlib.Path(site) / 'cupy_on_cpu'
    key = hashlib.sha256((repr(our_signatures()) + pathlib.Path(__file__).read_text()).encode()).hexdigest()[:12]
    identity = hashlib.sha256(b''.join(f.read_bytes() for f in sorted(HERE.glob('*.*'))) + key.encode()).hexdigest()
    marker = package / 'BUILD_ID'
    if marker.exists() and marker.read_text() == identity:
        return print(f'cupy_on_cpu is already in {sys.argv[1]}')
    others = re.findall(r'^cupy(?:-\S+|==\S+)', run(python, '-m', 'pip', 'list', '--format=freeze'), re.M)
    if others and not package.exists():
        sys.exit(f'build.py: {others[0]} is installed there; remove it first')

    CACHE.mkdir(parents=True, exist_ok=True)
    directory = CACHE / 'wheels' / f'cupy-{VERSION}-{tag}-{key}'
    with open(CACHE / 'build.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / 'unimplemented.cpp').exists() or not list(directory.glob('*.whl')):
            print(f'building CuPy {VERSION} for {tag} into {directory}: 2 to 3 minutes, once', flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            build_wheel(python, directory)
    run(python, '-m', 'pip', '-q', '--disable-pip-version-check', 'install', '--force-reinstall', '--no-deps', next(directory.glob('*.whl')))
    run(python, '-m', 'pip', '-q', '--disable-pip-version-check', 'install', 'numpy>=2,<2.6', 'cuda-pathfinder>=1.3.4,==1.*')
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(HERE, package, ignore=shutil.ignore_patterns('__pycache__'))
    run(
        'g++',
        '-std=c++17',
        '-O3',
        '-march=native',
        '-fcx-limited-range',
        '-fvisibility=hidden',
        '-fPIC',
        '-shared',
        '-o',
        package / 'libcupy_on_cpu.so',
        *SOURCES,
        directory / 'unimplemented.cpp',
        '-ldl',
    )
    (pathlib.Path(site) / 'cupy_on_cpu.pth').write_text('import cupy_on_cpu; cupy_on_cpu.install_hook()\n')
    run(python, '-c', 'import cupy; assert int(cupy.arange(4).sum()) == 6', env=dict(os.environ, CUPY_ON_CPU='1'))
    marker.write_text(identity)
    print(f'cupy_on_cpu is installed in {sys.argv[1]} ({time.time() - began:.0f} s)')


if __name__ == '__main__':
    main()
