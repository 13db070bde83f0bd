"""Classes of one's own over ours: they behave as the same class over scikit-learn's does."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import xpnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
THEIRS = {
    "MLPClassifier": sklearn.neural_network.MLPClassifier,
    "MLPRegressor": sklearn.neural_network.MLPRegressor,
    "Perceptron": sklearn.linear_model.Perceptron,
}


def subclasses(base):
    """The usual ways to write one."""

    class More(base):
        def __init__(self, alpha=0.0001, *, max_iter=3, label="a", random_state=0):
            super().__init__(alpha=alpha, max_iter=max_iter, random_state=random_state)
            self.label = label

    class Fewer(base):
        def __init__(self, alpha=0.0001):
            super().__init__(alpha=alpha, max_iter=3, random_state=0)

    class Words(base):
        def __init__(self, label="a", **rest):
            super().__init__(**rest)
            self.label = label

    class Mixin:
        def __init__(self, *, label="a", **rest):
            super().__init__(**rest)
            self.label = label

        def shout(self):
            return self.label.upper()

    class Mixed(Mixin, base):
        pass

    class Beside(base):
        """Nothing of its own but a method."""

        def shout(self):
            return "A"

    class Over(base):
        def fit(self, X, y):
            self.seen_ = len(X)
            return super().fit(X, y)

    kinds = (More, Fewer, Words, Mixed, Beside, Over)
    for cls in kinds:  # as if written in a module, so that pickle finds them
        name = f"{cls.__name__}_of_{base.__module__.partition('.')[0]}_{base.__name__}"
        cls.__module__, cls.__name__, cls.__qualname__ = __name__, name, name
        globals()[name] = cls
    return dict(zip(("more", "fewer", "words", "mixed", "beside", "over"), kinds, strict=True))


OURS = {name: subclasses(getattr(xpnn, name)) for name in THEIRS}
SAME = {name: subclasses(base) for name, base in THEIRS.items()}
KINDS = ("more", "fewer", "words", "mixed", "beside", "over")
GIVEN = {"more": {"alpha": 0.5, "label": "b"}, "fewer": {"alpha": 0.5}, "over": {"alpha": 0.5}}
GIVEN |= {"words": {"label": "b", "alpha": 0.5, "max_iter": 4}, "beside": {"max_iter": 4}}
GIVEN["mixed"] = GIVEN["words"]

each = pytest.mark.parametrize("name", THEIRS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each
@each_kind
def test_parameters_are_those_that_scikit_learn_finds(name, kind):
    ours, theirs = (of[name][kind](**GIVEN[kind]) for of in (OURS, SAME))
    known = ours.get_params()
    if kind in ("beside", "over"):  # the signature is ours, with parameters that theirs lacks
        assert known.keys() >= theirs.get_params().keys()
    else:
        assert known == theirs.get_params()
    for parameter, value in GIVEN[kind].items():
        assert getattr(ours, parameter) == value == getattr(theirs, parameter)
    for parameter in ("label", "alpha"):
        outcome = []
        for est in (ours, theirs):
            try:
                outcome.append(getattr(clone(est).set_params(**{parameter: 0.25}), parameter))
            except ValueError as error:
                outcome.append(str(error).partition("'")[0])
        assert outcome[0] == outcome[1]


@pytest.mark.sampled(2)
@each
@each_kind
def test_it_fits_clones_and_pickles(name, kind):
    cls = OURS[name][kind]
    model = cls(**GIVEN[kind])
    plain = getattr(xpnn, name)(
        **{k: getattr(model, k) for k in getattr(xpnn, name)().get_params()}
    )
    if plain.random_state is None:
        plain.random_state = 7
        model.random_state = 7
    expected = plain.fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.fit(X, Y).predict(X), expected)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(again) is cls
        assert again.get_params() == model.get_params()
        np.testing.assert_array_equal(again.predict(X), expected)
        again.partial_fit(X, Y)
    fresh = clone(model)
    assert type(fresh) is cls
    assert fresh.get_params() == model.get_params()
    fresh.fit(X, Y)
    assert not hasattr(model, "shout") or model.shout() == getattr(model, "label", "a").upper()
    assert kind != "over" or model.seen_ == len(X)


@each
def test_a_search_over_a_parameter_of_ones_own(name):
    search = GridSearchCV(OURS[name]["more"](), {"label": ["a", "b"], "alpha": [0.1]}, cv=2)
    assert search.fit(X, Y).best_estimator_.alpha == 0.1


@each
@each_kind
def test_a_model_file_is_refused_before_it_is_written(name, kind, tmp_path):
    model = OURS[name][kind]().fit(X, Y)
    with pytest.raises(
        ValueError, match=rf"{type(model).__name__}.*a class of your own.*[Pp]ickle"
    ):
        xpnn.save(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@each
def test_a_namesake_is_no_model_of_ours(name, tmp_path):
    """A file would come back as our class, without what its own adds."""
    cls = type(name, (getattr(xpnn, name),), {"__module__": __name__})
    with pytest.raises(ValueError, match="a class of your own"):
        xpnn.save(cls(max_iter=2).fit(X, Y), tmp_path / "m")


@each
def test_a_parameter_that_only_the_base_has_is_checked(name):
    class Wrong(getattr(xpnn, name)):
        def __init__(self):
            super().__init__(max_iter=0)

    with pytest.raises(
        ValueError, match=r"'max_iter' parameter of Wrong must be an int in .*Got 0"
    ):
        Wrong().fit(X, Y)


@pytest.mark.parametrize("name", ["_init_coef", "_fit_stochastic", "_forward_pass"])
def test_private_methods_of_scikit_learns_are_warned_of(name):
    told = f"Own.{name} is called by scikit-learn's networks and never by xpnn's: "
    for base in (xpnn.MLPClassifier, xpnn.MLPRegressor):
        with pytest.warns(UserWarning, match=told) as seen:
            type("Own", (base,), {name: lambda self: None})
        assert [w.filename for w in seen] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Other", (xpnn.MLPClassifier,), {"_weigh": lambda self: None})
