"""Rows of the table of silent failures: jobs whose outcome is not what they report (issue 15)."""

from __future__ import annotations

from tests.federation import stock_evidence as evidence
from tests.federation.failure_rows import Failure, Kit, Stock, Warned

_STEPS = r"site-{}, round 1, NUM_STEPS_CURRENT_ROUND: returned {}"
_NAN_MODEL = r"server, round 1, numpy_key: the new global model has 4 NaN or infinite numbers "


def _row(what: str, stock: Stock, *kit: Kit | Warned) -> Failure:
    return Failure(None, what, stock, kit)


OUTCOME_FAILURES = (
    _row(
        "all sites return the weights as received",
        Stock("stock-untrained", evidence.model_is_the_first_one),
        Kit("untrained", r"^no site changed any parameter of the model in any round: nothing was learned"),
        Warned("tolerated", r"^site-1, site-2, round 1: no site changed any parameter of the model in this"),
    ),
    _row(
        "the average overflows its type (float16, 200,000 steps a site)",
        Stock("stock-overflow", evidence.model_is_infinite),
        Kit("overflow", _NAN_MODEL + r"\(float16\)"),
    ),
    _row(
        "a site returns its weights times -1e60",
        Stock("stock-exploding", evidence.model_has_exploded),
        Warned(
            "warned-model", r"^server, round 1: the parameters grew from 2\.74 to \S+ \(root mean square\)"
        ),
    ),
    _row(
        "a site returns integers for fractions",
        Stock("stock-truncated", evidence.fractions_are_lost),
        Kit("truncated", r"site-2, round 1, numpy_key: returned integers for floating-point numbers"),
    ),
    _row(
        "one site returns no number of steps",
        Stock("stock-exploding", evidence.site_without_steps_weighs_1),
        Kit(
            "steps-of-one-site",
            _STEPS.format(2, r"no number of steps: it would weigh 1, and another site 10"),
        ),
    ),
    _row(
        "no site returns its number of steps",
        Stock("stock-untrained", evidence.all_sites_weigh_1),
        Warned("warned-model", r"NUM_STEPS_CURRENT_ROUND: no site returns its number of steps"),
    ),
    _row(
        "a site returns 0 steps",
        Stock("stock-truncated", evidence.zero_steps_weigh_1),
        Kit("zero-steps", _STEPS.format(2, "0 as its number of steps")),
    ),
    _row(
        "a site returns a negative number of steps",
        Stock("stock-careless", evidence.negative_steps_weigh_1),
        Kit("negative-steps", _STEPS.format(2, "-3 as its number of steps")),
    ),
    _row(
        "the key metric of a site is NaN",
        Stock("stock-overflow", evidence.site_with_nan_is_left_out),
        Warned("warned-metrics", r"^site-2, round 1, accuracy: returned nan as the metric accuracy"),
    ),
    _row(
        "a metric is text",
        Stock("stock-truncated", evidence.text_is_left_out),
        Warned("warned-metrics", r"^site-2, round 1, note: returned text as a metric \(note\)"),
    ),
    _row(
        "one site alone returns the key metric",
        Stock("stock-careless", evidence.best_model_is_chosen_by_one_site),
        Warned("warned-model", r"^site-2, round 1, key metric accuracy: was returned by other sites only"),
    ),
    _row(
        "the accuracy falls",
        Stock("stock-untrained", evidence.fall_is_not_reported),
        Warned("warned-metrics", r"key metric accuracy: went from 0\.8 to 0\.6, and larger is better"),
    ),
    _row(
        "the accuracy is minimised",
        Stock("stock-exploding", evidence.worst_model_is_the_best),
        Warned("warned-model", r"key metric accuracy: .*a smaller value.*the worst model would be kept"),
    ),
    _row(
        "the stop condition has a metric that nobody returns",
        Stock("stock-unmet-condition", evidence.no_model_is_stored),
        Kit("unmet-condition", r"server, round 1, stop_cond auc: the sites do not all return .*\(.*accuracy"),
    ),
    _row(
        "the stop condition demands equality",
        Stock("stock-equals", evidence.model_of_the_first_round_is_stored),
        Kit("rejected-equals", r"server, .*\(FedAvg\)\.stop_cond: accuracy = 0\.7: .*hardly ever equals"),
    ),
    _row(
        "an aggregator of the user's own raises for one site",
        Stock("stock-aggregator", evidence.exception_of_the_aggregator_is_only_logged),
        Kit("raising-aggregator", r"site-2, round 1: the result was not used: .*no such vocabulary"),
    ),
    _row(
        "an aggregator of the user's own returns NaN",
        Stock("stock-aggregator", evidence.aggregate_is_nan),
        Kit("nan-aggregator", _NAN_MODEL),
    ),
    _row(
        "no model is stored",
        Stock("stock-unmet-condition", evidence.no_model_is_stored),
        Kit(
            "not-stored",
            r"server, NPModelPersistor: no model was stored: the results of the job contain none",
        ),
    ),
)
