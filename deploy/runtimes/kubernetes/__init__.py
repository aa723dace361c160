"""Runtime `kubernetes`: the federation as Helm releases, in one cluster or in several."""
