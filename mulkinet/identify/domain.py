"""What music a model was trained on and its calibration made of: how far answers can be trusted elsewhere."""

__all__ = ["describe_domain", "domain_warnings", "trained_on"]


def trained_on(metadata):
    """What a model was trained on, by its metadata; None where that does not say.

    dict of `data`, a name, and `synthetic`, whether it is no recordings.
    """
    if "trained_on" in metadata:
        return metadata["trained_on"]
    # Models of before it was noted.
    charts = metadata.get("training", {}).get("settings", {}).get("charts")
    return charts and {"data": charts, "synthetic": True}


def describe_domain(trained, calibration):
    """What a model was trained and calibrated on, in words.

    Args:
        trained: What `trained_on` gives.
        calibration: dict of `calibration.calibrate` with `source`, or None.
    """
    if trained is None:
        told = "trained on music that the model does not name"
    else:
        told = f"trained on {_kind(trained['synthetic'])} ({trained['data']})"
    if calibration is None:
        return f"{told}, not calibrated"
    source = calibration.get("source", {})
    kind = _kind(source.get("synthetic"))
    names = f"{calibration['tracks']} tracks of {calibration['works']} works, {source.get('data_dir', 'unnamed')}"
    return f"{told}, calibrated on {kind} ({names})"


def domain_warnings(trained, calibration):
    """What the user of answers should know of it (list of str): nothing where they are known to hold for recordings."""
    of_recordings = calibration and calibration.get("source", {}).get("synthetic") is False
    if trained is None or not trained["synthetic"] or of_recordings:
        return []
    return [
        f"the model was {describe_domain(trained, calibration)}: of recordings its answers may be wrong, and its "
        "probabilities too high; calibrate the index on recordings with mulkinet calibrate"
    ]


def _kind(synthetic):
    return {True: "synthetic music", False: "recordings", None: "music of unknown kind"}[synthetic]
