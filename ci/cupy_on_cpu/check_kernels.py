#!/usr/bin/env python3
"""Usage: check_kernels.py PYTHON CAPTURE_DIRECTORY

Compiles every kernel captured by a run with CUPY_ON_CPU_CAPTURE=CAPTURE_DIRECTORY with NVIDIA's real NVRTC, of
CUDA 12 and 13, for sm_80, sm_90 and sm_120. PYTHON: that of an environment made by build.py (for CuPy's device
headers). NVRTC and the CUDA headers come from PyPI, once, into ~/.cache/cupy_on_cpu (or $CUPY_ON_CPU_CACHE).
"""

import concurrent.futures
import ctypes
import functools
import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

CACHE = pathlib.Path(os.environ.get('CUPY_ON_CPU_CACHE') or pathlib.Path.home() / '.cache/cupy_on_cpu')
PACKAGES = {
    12: ['nvidia-cuda-nvrtc-cu12==12.9.*', 'nvidia-cuda-runtime-cu12==12.9.*'],
    13: ['nvidia-cuda-nvrtc==13.*', 'nvidia-cuda-runtime==13.*', 'nvidia-cuda-crt==13.*'],
}
ARCHITECTURES = (80, 90, 120)


def toolkit(major):
    """Path of libnvrtc and the include directories, installed on first use."""
    target = CACHE / f'nvrtc_{major}'
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as t:
            subprocess.run([sys.executable, '-m', 'pip', '-q', 'install', '--no-deps', '--target', f'{t}/it', *PACKAGES[major]], check=True)
            os.rename(f'{t}/it', target)
    library = [p for p in glob.glob(f'{target}/nvidia/**/libnvrtc.so.*', recursive=True) if 'alt' not in p]
    return library[0], sorted(glob.glob(f'{target}/nvidia/*/include'))


class Nvrtc:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)

    def compile(self, source, options, name_expressions):
        """Returns None, or NVRTC's log."""
        lib, program = self.library, ctypes.c_void_p()
        lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b'kernel.cu', 0, None, None)
        for e in name_expressions:
            lib.nvrtcAddNameExpression(program, e.encode())
        status = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options]))
        log = None
        if status:
            size = ctypes.c_size_t()
            lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            buffer = ctypes.create_string_buffer(size.value)
            lib.nvrtcGetProgramLog(program, buffer)
            log = f'status {status}\n{buffer.value.decode()}'
        lib.nvrtcDestroyProgram(ctypes.byref(program))
        return log


def compile_captured(nvrtc, options, shim_include, kernel):
    """Compiles a captured kernel with `options` in place of the host compiler's."""
    kept = [o for o in kernel['options'] if o != shim_include and not o.startswith('-arch')]
    return nvrtc.compile(kernel['source'], [*kept, *options], kernel['name_expressions'])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    where = "import importlib.util; print(list(importlib.util.find_spec('cupy_on_cpu').submodule_search_locations)[0])"
    package = pathlib.Path(subprocess.run([sys.argv[1], '-c', where], capture_output=True, text=True, check=True).stdout.strip())
    device_headers = package.parent / 'cupy/_core/include'
    kernels = [json.loads(pathlib.Path(p).read_text()) for p in sorted(glob.glob(f'{sys.argv[2]}/*.json'))]
    # Once each: options differ by the include directories of the host compiler alone.
    kernels = list({(k['source'], *k['name_expressions']): k for k in kernels}.values())
    if not kernels:
        sys.exit(f'check_kernels.py: no captured kernels in {sys.argv[2]}')
    failed = False
    for major in PACKAGES:
        library, cuda_headers = toolkit(major)
        nvrtc = Nvrtc(library)
        for arch in ARCHITECTURES:
            began = time.time()
            options = [*(f'-I{h}' for h in (device_headers, *cuda_headers)), f'-arch=sm_{arch}', '--device-as-default-execution-space', '--pch']
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                logs = list(pool.map(functools.partial(compile_captured, nvrtc, options, f'-I{package}'), kernels))
            good = logs.count(None)
            print(f'CUDA {major} sm_{arch}: {good}/{len(kernels)} compiled ({time.time() - began:.0f} s)', flush=True)
            for kernel, log in zip(kernels, logs, strict=True):
                if log:
                    failed = True
                    print(f'---- failed on CUDA {major} sm_{arch}:\n{kernel["source"]}\n---- {" ".join(kernel["options"])}\n{log}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
