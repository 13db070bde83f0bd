"""More mistakes for `mutants.py`: sums over processes, rows of each process alone, Ctrl-C."""

from planted import Mutant

PROCESSES = (
    Mutant(
        "a process's classes alone say what is balanced",
        "perceptron/reading.py",
        "spec = weights_of_all(est.class_weight)",
        "spec = est.class_weight",
        "distributed_perceptron",
    ),
    Mutant(
        "a pocket counts the mistakes in its own rows",
        "perceptron/ownrows.py",
        "backend.asarray(tree_sum(comm, host))",
        "backend.asarray(sum(host))",
        "distributed_perceptron",
    ),
    Mutant(
        "the sum of two nodes goes to the wrong half of a pair",
        "distributed/tree.py",
        "xp.concat([found, piece] if comm.rank >> level & 1 else [piece, found])",
        "xp.concat([piece, found] if comm.rank >> level & 1 else [piece, found])",
        "distributed",
    ),
    Mutant(
        "many processes send a message to each",
        "distributed/tree.py",
        "comm.size >= MANY and",
        "comm.size > 64 * MANY and",
        "distributed cost_model",
    ),
    Mutant(
        "shards of own rows are shuffled alike for all members",
        "training/ownrows.py",
        "which = 1 + self.first + i + self.shards * member",
        "which = 1 + i + self.shards * member",
        "distributed distributed_tables",
    ),
    Mutant(
        "a column is learned from one process's rows",
        "tables/ownrows.py",
        "np.concatenate([_unpacked(part, dtype) for part in found])",
        "np.concatenate([_unpacked(part, dtype) for part in found[:1]])",
        "distributed_tables",
    ),
    Mutant(
        "one column of numbers too many is embedded",
        "tables/ownrows.py",
        'sum(t["numeric"] for t in told) > most_numbers',
        'sum(t["numeric"] for t in told) > most_numbers + 1',
        "distributed_tables",
    ),
    Mutant(
        "a shard's folds differ by more than a row",
        "tabular/folds.py",
        "np.stack([rng.random(folds), seen[c], load])",
        "np.stack([rng.random(folds), load, seen[c]])",
        "distributed_tables",
    ),
    Mutant(
        "members learn from the rows of their folds",
        "tabular/run.py",
        "member_rows(folds[:, a:b], recipe.folds) + (a - here.start)",
        "member_rows(folds[:, a:b][:, ::-1], recipe.folds) + (a - here.start)",
        "distributed_tables",
    ),
    Mutant(
        "every process predicts all rows out of fold",
        "tabular/ownrows.py",
        "list(pairwise(self.ends))[own.start : own.stop]",
        "list(pairwise(self.ends))[: own.stop]",
        "distributed_tables",
    ),
    Mutant(
        "a step that Ctrl-C has ended is learned",
        "steps/compiled/steps.h",
        "t->mine->cut = is_set(r->p->stop);",
        "t->mine->cut = 0;",
        "long_steps",
    ),
    Mutant(
        "a step that Ctrl-C has ended counts",
        "training/loop.py",
        "s.step, s.t, self.rate = before",
        "pass",
        "long_steps",
    ),
)
