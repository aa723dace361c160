"""A job without code may name only the classes that the kits of the federation allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nvflare.app_common.widgets.component_path_authorizer import ComponentPathAuthorizer
from nvflare.app_opt.pt.recipes.fedce import FedCERecipe
from nvflare.app_opt.sklearn.recipes import KMeansFedAvgRecipe, SklearnFedAvgRecipe, SVMFedAvgRecipe
from nvflare.recipe.spec import Recipe
from nvflare.recipe.utils import set_per_site_config

from deploy.errors import InputError
from deploy.project import Project
from deploy.project.allowed_components import DEFAULT, allowed_classes, is_allowed
from deploy.session.submission import refuse_components_not_allowed
from fl_app.jobs.components import components_without_code
from fl_app.jobs.export import ExportReply, ExportRequest, export
from fl_app.jobs.registry import available
from tests.unit.provision.federation import Federation

PERSISTOR = "nvflare.app_opt.sklearn.joblib_model_param_persistor.JoblibModelParamPersistor"
MODEL = {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 4}}
SITES = ("site-1", "site-2")


def project(folder: Path, *allowed: str) -> Project:
    federation = Federation(folder, *SITES)
    federation.document["deployment"] = {"allowed_components": list(allowed)}
    return federation.project


def exported(recipe: type[Recipe], folder: Path, per_site: bool = True, **more: Any) -> ExportReply:
    """Export a recipe of NVFlare; with settings per site the server has an app without code."""
    script = folder / "client.py"
    script.write_text("")
    made = recipe(name="job", min_clients=2, train_script=str(script), **more)
    if per_site:
        set_per_site_config(made, {site: {"train_args": f"--site {site}"} for site in SITES})
    made.export(str(folder / "exported"))
    job = folder / "exported" / "job"
    return ExportReply(folder=job, min_clients=2, components=components_without_code(job))


@pytest.mark.parametrize(
    "recipe",
    [lambda **kw: SklearnFedAvgRecipe(model_params={"a": 1}, **kw), KMeansFedAvgRecipe, SVMFedAvgRecipe],
)
def test_a_recipe_whose_persistor_unpickles_a_file_is_refused_with_the_setting(
    recipe: Any, tmp_path: Path
) -> None:
    job = exported(recipe, tmp_path)
    with pytest.raises(InputError) as refused:
        refuse_components_not_allowed(job, project(tmp_path))
    what, remedy = refused.value.messages
    assert f"config_fed_server.json: this federation does not allow {PERSISTOR} to jobs" in what
    assert f"Write allowed_components: [{PERSISTOR}] under deployment in {tmp_path}/project.yml" in remedy
    assert "flarefleet up" in remedy
    refuse_components_not_allowed(job, project(tmp_path, PERSISTOR))
    refuse_components_not_allowed(job, project(tmp_path, "nvflare.app_opt.sklearn."))


def test_an_app_that_carries_code_is_not_checked(tmp_path: Path) -> None:
    job = exported(KMeansFedAvgRecipe, tmp_path, per_site=False)
    assert job.components == ()
    refuse_components_not_allowed(job, project(tmp_path))


def test_the_aggregator_of_fedce_is_allowed_by_default(tmp_path: Path) -> None:
    job = exported(FedCERecipe, tmp_path, model=MODEL, trainable_param_names=["numbers"])
    assert "nvflare.app_opt.pt.fedce.FedCEModelAggregator" in {one.path for one in job.components}
    refuse_components_not_allowed(job, project(tmp_path))


@pytest.mark.parametrize("job", [job for job in available() if not job.missing()], ids=lambda job: job.name)
def test_every_job_of_the_kit_is_allowed(job: Any, tmp_path: Path) -> None:
    request = ExportRequest(parameters={}, sites=SITES, only_these=False, folder=tmp_path)
    refuse_components_not_allowed(export(job, request), project(tmp_path))


CONFIG = """{
    "components": [
        {"id": "a", "path": "a.A", "args": {"model": {"path": "b.B", "args": {"c": {"class_path": "c.C"}}}}},
        {"id": "d", "path": "d.D", "args": {"optimizer": {"path": "e.E", "config_type": "dict"}}},
        {"id": "f", "path": "f.F", "args": {"file": {"path": "data"}, "list": [{"path": "g.G"}]}}
    ],
    "workflows": [{"id": "h", "path": "h.H"}],
    "task_data_filters": [{"tasks": ["*"], "filters": [{"path": "i.I"}]}],
    "anything": {"path": "j.J"}
}"""


def test_components_in_arguments_are_found_and_settings_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "app" / "config"
    folder.mkdir(parents=True)
    (folder / "config_fed_server.json").write_text(CONFIG)
    client = '{"executors": [{"tasks": ["train"], "executor": {"path": "k.K"}}]}'
    (folder / "config_fed_client.json").write_text(client)
    found = components_without_code(tmp_path)
    assert [one.path for one in found] == ["a.A", "b.B", "c.C", "d.D", "f.F", "g.G", "h.H", "i.I", "k.K"]
    assert found[-1].file == "app/config/config_fed_client.json"


@pytest.mark.parametrize("entry", ["a.b.", "a.b", "a.b.C"])
@pytest.mark.parametrize("path", ["a.b.C", "a.b.c.D", "a.bc.D", "a.b", "a.b.CD"])
def test_an_entry_allows_what_it_allows_in_nvflare(path: str, entry: str) -> None:
    assert is_allowed(path, [entry]) is ComponentPathAuthorizer._path_matches_prefix(path, entry)


def test_nvflare_accepts_the_complete_list(tmp_path: Path) -> None:
    complete = allowed_classes(project(tmp_path, "my_package."))
    ComponentPathAuthorizer._normalize_allow_list(complete)
    assert {*DEFAULT, "my_package."} < {*complete}
