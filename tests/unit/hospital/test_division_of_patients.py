"""Division of the patients of the job `hospital`."""

from __future__ import annotations

import numpy as np
import pytest

from fl_app.jobs.hospital.data import FEATURES, MIN_PATIENTS, Cohort, divide
from fl_app.jobs.shared import sklearn_datasets

ALL_PATIENTS = 569


def test_hospitals_have_parts_of_equal_size_and_a_quarter_is_the_test_set() -> None:
    cohort = divide(4, seed=0)

    assert [len(patients) for patients in cohort.hospitals] == [107, 107, 106, 106]
    assert len(cohort.test) == 143


@pytest.mark.parametrize("hospitals", [2, 3, 5, 11, 85])
def test_every_patient_is_used_once(hospitals: int) -> None:
    cohort = divide(hospitals, seed=3)
    parts = [*cohort.hospitals, cohort.test]

    rows = np.concatenate([part.features for part in parts])

    assert len(cohort.hospitals) == hospitals
    assert rows.shape == (ALL_PATIENTS, FEATURES)
    assert len(np.unique(rows, axis=0)) == ALL_PATIENTS
    assert max(map(len, cohort.hospitals)) - min(map(len, cohort.hospitals)) <= 1


@pytest.mark.parametrize("name", ["load_breast_cancer", "load_digits"])
def test_the_data_sets_equal_those_of_scikit_learn(name: str) -> None:
    from sklearn import datasets

    features, labels = getattr(datasets, name)(return_X_y=True)
    read_features, read_labels = getattr(sklearn_datasets, name)()

    np.testing.assert_array_equal(read_features, features)
    np.testing.assert_array_equal(read_labels, labels)


def test_a_hospital_has_similar_patients() -> None:
    cohort = divide(4, seed=0)

    shares = [patients.malignant / len(patients) for patients in cohort.hospitals]

    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] > 0.95
    assert _spread_within(cohort) < 0.8 * float(cohort.pooled.features.std(axis=0).mean())


def test_the_test_set_has_the_overall_share_of_malignant_tumours() -> None:
    cohort = divide(4, seed=0)

    overall = (cohort.pooled.malignant + cohort.test.malignant) / ALL_PATIENTS

    assert cohort.test.malignant / len(cohort.test) == pytest.approx(overall, abs=0.005)


def test_the_division_depends_on_the_seed() -> None:
    once, again, other = divide(4, seed=7), divide(4, seed=7), divide(4, seed=8)

    for patients, same in zip(once.hospitals, again.hospitals, strict=True):
        np.testing.assert_array_equal(patients.features, same.features)
        np.testing.assert_array_equal(patients.labels, same.labels)
    assert not np.array_equal(once.test.features, other.test.features)


def test_features_are_standardised_over_all_hospitals() -> None:
    pooled = divide(4, seed=0).pooled.features

    np.testing.assert_allclose(pooled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(pooled.std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("hospitals", [-1, 0, 1, 86, 1000])
def test_an_unsupported_number_of_hospitals_is_rejected(hospitals: int) -> None:
    assert 426 // MIN_PATIENTS == 85

    with pytest.raises(ValueError, match=f"{hospitals} hospitals: .* over 2 to 85"):
        divide(hospitals, seed=0)


def _spread_within(cohort: Cohort) -> float:
    return float(np.mean([patients.features.std(axis=0).mean() for patients in cohort.hospitals]))
