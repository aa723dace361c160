"""Client of the scikit-learn examples: a linear classifier, k-means and a support vector machine."""

import sys

import numpy as np
import nvflare.client as flare
from example_jobs.dataset import points
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score, silhouette_score
from sklearn.svm import SVC

kind = sys.argv[1]
flare.init()
features, labels = points(flare.get_site_name())


def linear(parameters):
    model = SGDClassifier(loss="log_loss", random_state=0, warm_start=True, max_iter=1, tol=None)
    if "coef" in parameters:
        model.partial_fit(features, labels, classes=[0, 1])
        model.coef_, model.intercept_ = np.asarray(parameters["coef"]), np.asarray(parameters["intercept"])
        score = roc_auc_score(labels, model.decision_function(features))
    else:
        score = 0.5
    model.fit(features, labels)
    return {"coef": model.coef_, "intercept": model.intercept_}, {"AUC": float(score)}


def kmeans(parameters):
    if "center" not in parameters:
        found = KMeans(n_clusters=2, n_init=1, random_state=0).fit(features)
        return {"center": found.cluster_centers_, "count": None}, {"metrics": 0.0}
    model = MiniBatchKMeans(
        n_clusters=2,
        init=np.asarray(parameters["center"]),
        n_init=1,
        batch_size=len(features),
        random_state=0,
    )
    model.fit(features)
    score = silhouette_score(features, model.predict(features))
    return {"center": model.cluster_centers_, "count": model._counts}, {"metrics": float(score)}


def svm(parameters):
    if "support_x" not in parameters:
        model = SVC(kernel="rbf").fit(features, labels)
        return {"support_x": features[model.support_], "support_y": labels[model.support_]}, {"AUC": 0.0}
    model = SVC(kernel="rbf").fit(parameters["support_x"], parameters["support_y"])
    score = roc_auc_score(labels, model.decision_function(features))
    return dict(parameters), {"AUC": float(score)}


while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    parameters, metrics = {"linear": linear, "kmeans": kmeans, "svm": svm}[kind](received.params or {})
    flare.send(
        flare.FLModel(params=parameters, metrics=metrics, meta={"NUM_STEPS_CURRENT_ROUND": len(labels)})
    )
