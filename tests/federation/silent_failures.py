"""The table of silent failures: for each, by which job NVFlare alone shows it and what it does, and by which
job the kit's guard ends it and in which words.

The numbers are those of the research on NVFlare 2.9.0 (issue 7); a failure without one was found since. Rows
that need another environment name the tests that hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy.session.session import COMPLETED, RUNNING, SUBMITTED
from tests.federation import stock_evidence as evidence
from tests.federation.guarded_table import Table

Evidence = Callable[[Table], None]

NUMBERS = range(1, 14)
"""Of the silent failures that the guard answers for."""


@dataclass(frozen=True)
class Stock:
    """What NVFlare alone does: a job of `guarded_jobs.stock` or `.endless`."""

    job: str
    shown: Evidence
    """Asserts what is wrong although nothing is said; fails when NVFlare has mended it."""
    status: str = COMPLETED


@dataclass(frozen=True)
class Kit:
    """What the kit does with the same: a job of `guarded_jobs.guarded`, or of `.refused`."""

    job: str
    says: str
    """A regular expression: the one line."""


@dataclass(frozen=True)
class Elsewhere:
    """Rows in another file, which needs what this one has not."""

    tests: tuple[str, ...]
    """FILE::TEST"""


@dataclass(frozen=True)
class Failure:
    """One row."""

    number: int | None
    what: str
    stock: Stock | Elsewhere
    kit: tuple[Kit | Elsewhere, ...]


FLOWER = "tests/federation/test_flower_job.py"
TRACKED = "tests/federation/tracked/test_recipes.py"
WAITING = "tests/federation/test_waiting_for_sites.py"
_SERVER_LOGS = f"{TRACKED}::test_nvflares_trackers_drop_what_the_server_logs_and_the_kits_keep_it"

FAILURES = (
    Failure(
        1,
        "a PyTorch client returns NumPy arrays",
        Stock("stock-numpy-for-torch", evidence.untrained),
        (Kit("numpy-for-torch", r"site-[12], round 1: returned no parameters.*must return tensors"),),
    ),
    Failure(
        2,
        "MLflow's receiver does not start",
        Stock("stock-trackers", evidence.nothing_tracked),
        (
            Kit(
                "refused-mlflow",
                r"server, .*\(MLflowReceiver\)\.tracking_uri: file:///tmp/mlruns is a folder",
            ),
            Kit("mlflow", r"server, .*\(MLflowReceiver\)\.tracking_uri: file:///tmp/mlruns is a folder"),
        ),
    ),
    Failure(
        2,
        "MLflow's server is away",
        Stock("stock-mlflow-out-of-reach", evidence.waits_before_its_first_round, RUNNING),
        (
            Kit(
                "mlflow-out-of-reach",
                r"server, .*\(MLflowReceiver\): tracking could not start: .*127\.0\.0\.1",
            ),
        ),
    ),
    Failure(
        2,
        "a parameter of the run is given to MLflow twice",
        Elsewhere((f"{TRACKED}::test_nvflare_loses_all_that_was_logged_with_a_parameter_given_twice",)),
        (Elsewhere((f"{TRACKED}::test_the_guard_ends_a_job_that_gives_a_parameter_twice",)),),
    ),
    Failure(
        3,
        "tracking is configured, nobody logs",
        Stock("stock-careless", evidence.no_event_file),
        (Kit("nothing-logged", r"server, .*: tracking is configured, and no site has logged anything"),),
    ),
    Failure(
        4,
        "the key metric is not among the metrics",
        Stock("stock-nothing", evidence.no_best_model),
        (
            Kit(
                "other-metric",
                r"site-[12], round 1, key metric accuracy: is not among .*\(val_acc\).*key_metric",
            ),
        ),
    ),
    Failure(
        5,
        "more sites wanted than there are",
        Stock("stock-too-many-sites", evidence.waits_for_a_site_that_is_not, SUBMITTED),
        (Elsewhere((f"{WAITING}::test_a_job_for_more_sites_than_there_are_is_refused",)),),
    ),
    Failure(
        6,
        "one site returns another shape",
        Stock("stock-another-shape", evidence.one_site_is_lost),
        (Kit("another-shape", r"site-2, round 1, numpy_key: returned shape \(4,\), and was sent \(2, 2\)"),),
    ),
    Failure(
        7,
        "all sites return another shape",
        Stock("stock-all-another-shape", evidence.model_of_another_shape),
        (
            Kit(
                "all-another-shape",
                r"site-[12], round 1, numpy_key: returned shape \(4,\), and was sent \(2, 2\)",
            ),
        ),
    ),
    Failure(
        8,
        "a NumPy job without a model",
        Stock("stock-all-another-shape", evidence.model_of_another_shape),
        (
            Kit("refused-no-model", r"server, .*\(NPModelPersistor\)\.model: no model is given"),
            Kit("no-model", r"server, .*\(NPModelPersistor\)\.model: no model is given"),
        ),
    ),
    Failure(
        9,
        "a client fails in cross-site evaluation",
        Stock("stock-no-evaluation", evidence.empty_evaluation),
        (Kit("no-evaluation", r"site-2, model of .*: failed in the cross-site evaluation \(task validate"),),
    ),
    Failure(
        10,
        "an integer over 64 bits",
        Stock("stock-large-integer", evidence.names_no_number, ""),
        (
            Kit(
                "large-integer",
                r"site-2, round 1, meta\.tokens: an integer of 71 bits.*as a float or as text",
            ),
        ),
    ),
    Failure(
        11,
        "W&B's receiver is given what it cannot use",
        Stock("stock-trackers", evidence.nothing_tracked),
        (Kit("refused-wandb", r"server, .*\(WandBReceiver\): wandb_args has no name, and nothing would be"),),
    ),
    Failure(
        11,
        "what the server logs is in no tracker",
        Elsewhere((_SERVER_LOGS,)),
        (Elsewhere((_SERVER_LOGS,)),),
    ),
    Failure(
        12,
        "every site learns how much the others count",
        Stock("stock-careless", evidence.sites_see_each_others_weights),
        (Elsewhere(("tests/federation/test_guard.py::test_no_site_sees_how_much_the_others_count",)),),
    ),
    Failure(
        13,
        "a ClientApp of Flower's raises in every round",
        Elsewhere((f"{FLOWER}::test_nvflares_own_bridge_completes_a_job_whose_client_app_raises",)),
        (
            Kit(
                "refused-flower",
                r"server, controller \(FlowerController\): NVFlare's own bridge.*FlowerAppRecipe",
            ),
            Elsewhere((f"{FLOWER}::test_the_guard_ends_a_job_with_nvflares_own_bridge",)),
            Elsewhere((f"{FLOWER}::test_a_client_app_that_raises_ends_the_job_with_its_site_and_its_error",)),
        ),
    ),
    Failure(
        None,
        "NaN",
        Stock("stock-careless", evidence.model_of_nan),
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
        Stock("stock-nothing", evidence.one_site_alone),
        (Kit("nothing", r"site-2, round 1: returned no parameters"),),
    ),
    Failure(
        None,
        "a site returns a parameter too many",
        Stock("stock-careless", evidence.model_of_more),
        (
            Kit(
                "more",
                r"site-2, round 1, more: returned 1 parameter \(more\) that the model it was sent does not",
            ),
        ),
    ),
    Failure(
        None,
        "a site returns far more than the model",
        Stock("stock-careless", evidence.taken_in_without_a_word),
        (Kit("large", r"site-2, round 1: returned 70 MiB for a model of 0 MiB"),),
    ),
    Failure(
        None,
        "a site's training hangs",
        Stock("stock-hanging", evidence.trains_for_ever, RUNNING),
        (
            Kit(
                "hanging", r"site-2, round 1: at work on the task 'train' for \d+ s, and neither returned nor"
            ),
            Kit("hanging-process", r"site-2, round 1: at work on the task 'train' for \d+ s, and neither"),
        ),
    ),
)
