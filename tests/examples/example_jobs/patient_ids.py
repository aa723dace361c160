"""The items of a site for the private set intersection."""

from nvflare.app_common.psi.psi_spec import PSI


class PatientIds(PSI):
    """Identifiers of patients, some of whom both sites know."""

    def __init__(self, psi_writer_id="psi_writer"):
        super().__init__(psi_writer_id)

    def load_items(self):
        first = 3 * int(self.fl_ctx.get_identity_name().rpartition("-")[2])
        return [f"patient-{number}" for number in range(first, first + 10)]
