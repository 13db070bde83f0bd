"""More mistakes for `mutants.py`: checkpoints, resume, files, and rows larger than memory."""

from planted import Mutant

STORAGE = (
    # -- files
    Mutant(
        "a file is renamed before it is on the disk",
        "files/atomic.py",
        "            os.fsync(file.fileno())\n",
        "",
        "files checkpoint_folders",
    ),
    Mutant(
        "a file is written where the old one lies",
        "files/atomic.py",
        'temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")',
        "temporary = target.unlink(missing_ok=True) or target",
        "files cli_blocks",
    ),
    Mutant(
        "the newest checkpoint is removed in place of the oldest",
        "files/checkpoints.py",
        "for old in [*files, path][: -self.keep]:",
        "for old in [*files, path][self.keep :]:",
        "checkpoint_folders checkpoint",
    ),
    Mutant(
        "two trainings may write into one folder",
        "files/checkpoints.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "checkpoint_folders",
    ),
    Mutant(
        "a damaged checkpoint ends the search for a whole one",
        "files/checkpoints.py",
        "                errors.append(error)\n                continue\n",
        "                errors.append(error)\n                break\n",
        "checkpoint_folders",
    ),
    # -- resume
    Mutant(
        "moments come back in the other order",
        "training/restart.py",
        'arrays[f"moment_{i}"]) for i in range(header["moments"]))',
        'arrays[f"moment_{i}"]) for i in reversed(range(header["moments"])))',
        "checkpoint",
    ),
    Mutant(
        "a training that goes on begins its epoch anew",
        "training/restart.py",
        '        setattr(run, name, header["run"][name])\n',
        '        setattr(run, name, header["run"][name])\n    run.at = 0\n',
        "checkpoint",
    ),
    Mutant(
        "the loss of the steps before a checkpoint is lost",
        "training/restart.py",
        'run.total = moved(backend, arrays["total"]) if "total" in arrays else None',
        'run.total = 0 * moved(backend, arrays["total"]) if "total" in arrays else None',
        "checkpoint",
    ),
    Mutant(
        "schedules begin anew where a training goes on",
        "training/restart.py",
        '_PLAIN = ("first", "at", "rate",',
        '_PLAIN = ("at", "rate",',
        "checkpoint",
    ),
    Mutant(
        "other targets in Blocks are no other training",
        "estimators/_blocks.py",
        "found += [fingerprint(a) for a in self.read_rows(start, min(stop, n))]",
        "found += [fingerprint(self.read_rows(start, min(stop, n))[0])]",
        "checkpoint",
    ),
    Mutant(
        "a perceptron visits an epoch's first rows again",
        "perceptron/samples.py",
        "for first in range(begun, self.n, self.size):",
        "for first in range(0, self.n, self.size):",
        "perceptron_blocks",
    ),
    Mutant(
        "a perceptron forgets the mistakes of the rows before a checkpoint",
        "perceptron/restart.py",
        'fit.sums = moved(backend, host["sums"]) if fit.at else None',
        "fit.sums = None",
        "perceptron_blocks",
    ),
    # -- rows larger than memory
    Mutant(
        "the rows of all windows are shuffled alike",
        "training/windows.py",
        "host_generator(draw.seed, BLOCKS, draw.epoch, 1 + w)",
        "host_generator(draw.seed, BLOCKS, draw.epoch, 1)",
        "blocks",
    ),
    Mutant(
        "blocks come in the same order in each epoch",
        "training/windows.py",
        "host_generator(draw.seed, BLOCKS, draw.epoch).permutation(blocks)",
        "host_generator(draw.seed, BLOCKS).permutation(blocks)",
        "blocks",
    ),
    Mutant(
        "what a window leaves to the next begins a row early",
        "training/windows.py",
        "at: Any = slice(n - rows, None) if order is None else order[n - rows :]",
        "at: Any = slice(n - rows - 1, n - 1) if order is None else order[n - rows - 1 : n - 1]",
        "blocks",
    ),
    Mutant(
        "an epoch goes on a window late where it stood at a border",
        "training/windows.py",
        'np.searchsorted(self.ends, step * self.size, side="right")',
        'np.searchsorted(self.ends, step * self.size + 1, side="right")',
        "blocks",
    ),
    Mutant(
        "a part's last row is left out at the border to the next",
        "blocks/arrays.py",
        "a, b = max(start - first, 0), min(stop, int(ends[p])) - first",
        "a, b = max(start - first, 0), min(stop, int(ends[p]) - 1) - first",
        "block_sources",
    ),
    Mutant(
        "of a block the first piece alone is looked at for NaN",
        "estimators/_blocks.py",
        "                if new:\n",
        "                if new and a == start:\n",
        "blocks",
    ),
    Mutant(
        "pages of a memory map stay in memory",
        "blocks/arrays.py",
        "        if self._map is not None:\n            _release(self._map, found)\n",
        "",
        "block_sources",
    ),
    Mutant(
        "rows are held out that are learned from",
        "estimators/_blocks.py",
        "keep = ~self._held_out(number)",
        "keep = np.roll(~self._held_out(number), 1)",
        "blocks",
    ),
)
