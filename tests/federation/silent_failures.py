"""The table of silent failures: what NVFlare alone does with each of them, and what the kit does.

The numbers are those of the research on NVFlare 2.9.0 (issue 7); failures without one were found later.
A row that needs another federation names a test of another file.
"""

from __future__ import annotations

from deploy.session.session import RUNNING, SUBMITTED
from tests.federation import stock_evidence as evidence
from tests.federation.failure_rows import Failure, Kit, OtherTest, Stock, Warned
from tests.federation.outcome_failures import OUTCOME_FAILURES

NUMBERS = range(1, 14)
"""Numbers of the silent failures that the guard detects."""

FLOWER = "tests/federation/test_flower_job.py"
TRACKED = "tests/federation/tracked/test_recipes.py"
WAITING = "tests/federation/jobs/test_waiting_for_sites.py"
_SERVER_LOGS = f"{TRACKED}::test_nvflares_receivers_drop_values_of_the_server_and_the_kits_keep_them"
_SHAPE = Kit("another-shape", r"site-2, round 1, numpy_key: returned shape \(4,\) and received \(2, 2\)")

FAILURES = (
    Failure(
        1,
        "a PyTorch client returns NumPy arrays",
        Stock("stock-numpy-for-torch", evidence.model_is_untrained),
        (Kit("numpy-for-torch", r"site-[12], round 1: returned no parameters.*must return tensors"),),
    ),
    Failure(
        2,
        "MLflow's receiver does not start",
        Stock("stock-trackers", evidence.nothing_is_tracked),
        (
            Kit(
                "rejected-mlflow",
                r"server, .*\(MLflowReceiver\)\.tracking_uri: file:///tmp/mlruns is a folder",
            ),
        ),
    ),
    Failure(
        2,
        "MLflow's server is unreachable",
        Stock("stock-mlflow-unreachable", evidence.first_round_does_not_start, RUNNING),
        (
            Kit(
                "mlflow-unreachable",
                r"server, .*\(MLflowReceiver\): tracking could not start: .*127\.0\.0\.1",
            ),
        ),
    ),
    Failure(
        2,
        "a parameter of the run is sent to MLflow twice",
        OtherTest(f"{TRACKED}::test_nvflare_loses_the_values_that_are_logged_with_a_repeated_parameter"),
        (OtherTest(f"{TRACKED}::test_the_guard_fails_a_job_that_repeats_a_parameter"),),
    ),
    Failure(
        3,
        "tracking is configured, and no site logs",
        Stock("stock-careless", evidence.no_event_file_is_written),
        (Kit("nothing-logged", r"server, .*: tracking is configured, but no site logged a metric"),),
    ),
    Failure(
        4,
        "the key metric is not among the metrics",
        Stock("stock-nothing", evidence.no_best_model_is_kept),
        (
            Kit(
                "other-key-metric",
                r"site-1, site-2, key metric dice: is not among .*\(val_acc\): no best.*key_metric",
            ),
            Warned(
                "other-metric",
                r"site-1, site-2, round 1, key metric accuracy: is not among .*\(val_acc\).*key_metric",
            ),
        ),
    ),
    Failure(
        5,
        "the job needs more sites than there are",
        Stock("stock-too-many-sites", evidence.job_waits_for_a_missing_site, SUBMITTED),
        (OtherTest(f"{WAITING}::test_a_job_that_needs_more_sites_than_exist_is_refused"),),
    ),
    Failure(
        6,
        "one site returns another shape",
        Stock("stock-another-shape", evidence.one_site_is_ignored),
        (_SHAPE,),
    ),
    Failure(
        7,
        "all sites return another shape",
        Stock("stock-all-another-shape", evidence.model_has_another_shape),
        (_SHAPE,),  # the guard ends both jobs at the first result
    ),
    Failure(
        8,
        "a NumPy job has no model",
        Stock("stock-all-another-shape", evidence.model_has_another_shape),
        (
            Kit("rejected-no-model", r"server, .*\(NPModelPersistor\)\.model: no initial model"),
            Kit("no-model", r"server, .*\(NPModelPersistor\)\.model: no initial model"),
        ),
    ),
    Failure(
        9,
        "a client fails in cross-site evaluation",
        Stock("stock-no-evaluation", evidence.evaluation_is_empty),
        (Kit("no-evaluation", r"^RuntimeError: nothing to evaluate on \(guarded_client", "site-2"),),
    ),
    Failure(
        10,
        "meta has an integer over 64 bits",
        Stock("stock-large-integer", evidence.integer_is_not_named, ""),
        (
            Kit(
                "large-integer",
                r"site-2, round 1, meta\.tokens: an integer of 71 bits.*as a float or as text",
            ),
        ),
    ),
    Failure(
        11,
        "W&B's receiver has invalid arguments",
        Stock("stock-trackers", evidence.nothing_is_tracked),
        (Kit("rejected-wandb", r"server, .*\(WandBReceiver\): wandb_args has no name: nothing would be"),),
    ),
    Failure(
        11,
        "no tracker has the metrics of the server",
        OtherTest(_SERVER_LOGS),
        (OtherTest(_SERVER_LOGS),),
    ),
    Failure(
        12,
        "every site learns the weights of the others",
        Stock("stock-careless", evidence.sites_see_the_weights_of_others),
        (OtherTest("tests/federation/test_guard.py::test_no_site_learns_the_weights_of_others"),),
    ),
    Failure(
        13,
        "a ClientApp of Flower raises in every round",
        OtherTest(f"{FLOWER}::test_nvflare_completes_a_job_whose_client_app_raises"),
        (
            Kit(
                "rejected-flower",
                r"server, controller \(FlowerController\): NVFlare's Flower integration.*FlowerAppRecipe",
            ),
            OtherTest(f"{FLOWER}::test_the_guard_ends_a_job_with_nvflares_flower_integration"),
            OtherTest(f"{FLOWER}::test_a_client_app_that_raises_ends_the_job_with_its_site_and_its_error"),
        ),
    ),
    Failure(
        None,
        "a site returns NaN",
        Stock("stock-careless", evidence.model_is_nan),
        (
            Kit(
                "nan",
                r"site-2, round 1, numpy_key: returned 4 numbers that are NaN or infinite\. .*learning rate",
            ),
        ),
    ),
    Failure(
        None,
        "a site returns nothing",
        Stock("stock-nothing", evidence.model_is_that_of_one_site),
        (Kit("nothing", r"site-2, round 1: returned no parameters"),),
    ),
    Failure(
        None,
        "a site returns an unknown parameter",
        Stock("stock-careless", evidence.model_has_an_unknown_parameter),
        (Kit("more", r"site-2, round 1, more: returned 1 parameter \(more\) not in the model"),),
    ),
    Failure(
        None,
        "a site returns far more than the model",
        Stock("stock-careless", evidence.ballast_is_accepted),
        (Kit("large", r"site-2, round 1: returned 70 MiB for a model of 0 MiB"),),
    ),
    Failure(
        None,
        "the training of a site hangs",
        Stock("stock-hanging", evidence.training_continues, RUNNING),
        (
            Kit("hanging", r"site-2, round 1: the task 'train' has run for \d+ s without a result"),
            Kit("hanging-process", r"site-2, round 1: the task 'train' has run for \d+ s without a result"),
        ),
    ),
    *OUTCOME_FAILURES,
)
