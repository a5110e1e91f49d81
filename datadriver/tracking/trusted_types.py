"""Types that a stored model may contain although skops does not vouch for them, each reviewed.

skops trusts every public estimator of scikit-learn and what it calls plain: numbers, text, containers, arrays, ufuncs.
It leaves out what follows. The grounds on which each group is trusted here:

- building an object of the type from the archive runs no code but scikit-learn's, numpy's or scipy's own;
- trees (`Tree`, `TreePredictor`) and search trees index arrays without bounds checks, so a forged archive could crash
  a process or make it read foreign memory. An archive is therefore loaded only after its sha256 was compared with the
  one that the ledger recorded when the model was made;
- functions are the ones that scikit-learn's estimators take as arguments; they compute on arrays and return arrays.
"""

from __future__ import annotations

_CONTAINERS = (
    "builtins.frozenset",
    "builtins.bytes",
    "collections.OrderedDict",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.dtype",
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._csc.csc_array",
    "scipy.sparse._csr.csr_matrix",
    "scipy.sparse._csr.csr_array",
    "scipy.interpolate._bsplines.BSpline",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "sklearn.utils._bunch.Bunch",
)

_FITTED_PARTS = (
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_elkan",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)

_KERNELS = tuple(
    f"sklearn.gaussian_process.kernels.{name}"
    for name in (
        "CompoundKernel",
        "ConstantKernel",
        "DotProduct",
        "ExpSineSquared",
        "Exponentiation",
        "Hyperparameter",
        "Matern",
        "PairwiseKernel",
        "Product",
        "RBF",
        "RationalQuadratic",
        "Sum",
        "WhiteKernel",
    )
)

_DISTANCES = tuple(
    f"sklearn.metrics._dist_metrics.{name}Distance{bits}"
    for name in ("Canberra", "Chebyshev", "Euclidean", "Haversine", "Manhattan", "Minkowski", "SEuclidean")
    for bits in (32, 64)
)

_SEARCH_PARTS = (
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    *(
        f"sklearn.model_selection._split.{name}"
        for name in (
            "GroupKFold",
            "GroupShuffleSplit",
            "KFold",
            "LeaveOneGroupOut",
            "PredefinedSplit",
            "RepeatedKFold",
            "ShuffleSplit",
            "StratifiedKFold",
            "StratifiedShuffleSplit",
            "TimeSeriesSplit",
        )
    ),
)

_FUNCTIONS = (
    "numpy.mean",
    "numpy.median",
    *(
        f"sklearn.feature_selection._univariate_selection.{name}"
        for name in ("chi2", "f_classif", "f_oneway", "f_regression", "r_regression")
    ),
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    *(
        f"sklearn.metrics._classification.{name}"
        for name in (
            "accuracy_score",
            "balanced_accuracy_score",
            "brier_score_loss",
            "f1_score",
            "log_loss",
            "matthews_corrcoef",
            "precision_score",
            "recall_score",
        )
    ),
    "sklearn.metrics._ranking.average_precision_score",
    "sklearn.metrics._ranking.roc_auc_score",
    *(
        f"sklearn.metrics._regression.{name}"
        for name in (
            "max_error",
            "mean_absolute_error",
            "mean_absolute_percentage_error",
            "mean_pinball_loss",
            "mean_squared_error",
            "median_absolute_error",
            "r2_score",
            "root_mean_squared_error",
        )
    ),
)

REVIEWED = frozenset((*_CONTAINERS, *_FITTED_PARTS, *_KERNELS, *_DISTANCES, *_SEARCH_PARTS, *_FUNCTIONS))
"""Full names, as skops writes them."""
