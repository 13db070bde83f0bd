"""One process lives long: nothing piles up. `ci/long_lives.py` is the long version."""

import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "ci" / "long_lives.py"


@pytest.mark.slow
@pytest.mark.slow
def test_many_fits_in_one_process_leave_nothing_behind(processes):
    code = f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
    code += "sys.argv = ['long_lives', '--fits', '120', '--partial-fits', '200']\n"
    code += "import long_lives\nprint(long_lives.main())"
    *lines, status = processes.run(code).splitlines()
    assert status == "0", lines
    assert lines[-1] == "nothing has risen"


@pytest.mark.slow
def test_what_rises_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import long_lives

    kept, files = list[np.ndarray](), list[object]()

    def leak(i: int) -> None:
        kept.append(np.ones(1 << 19))  # 4 MB, in memory
        files.append(SCRIPT.open("rb"))

    faults = " ".join(long_lives.watched(40, leak, "leaks"))
    for file in files:
        file.close()
    if not sys.platform.startswith("linux"):
        pytest.skip("only where /proc is")
    assert "leaks: megabytes rose" in faults
    assert "leaks: open files rose" in faults


@pytest.mark.slow
def test_a_failure_that_is_no_failure_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import long_lives

    kinds = long_lives.fits(None)
    assert len(kinds) >= 12
    assert kinds[-2](0) is None  # the failing fit, which is caught
