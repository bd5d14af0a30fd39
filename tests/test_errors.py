"""What only an extra brings is imported, or its name is told."""

import json

import pytest

from mulkinet.errors import MulkinetError, import_extra


def test_a_module_that_is_there():
    assert import_extra("json", "none") is json


def test_a_module_that_is_absent():
    message = (
        "expected the package absent, found it is not installed; try pip install 'mulkinet[x]'"
    )
    with pytest.raises(MulkinetError) as caught:
        import_extra("absent.part", "x")
    assert str(caught.value) == message
