"""errors: the tree, and what each error carries."""

import pytest

from greenserve import errors


def test_every_error_is_a_serve_error_and_is_drawn_in_the_docstring() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.ServeError)
        assert name in (errors.__doc__ or "")


def test_a_protocol_error_carries_its_status_and_the_rule() -> None:
    error = errors.LimitExceeded(431, "head longer than 65536 bytes")
    assert (error.status, error.reason) == (431, "head longer than 65536 bytes")
    assert str(error) == "431: head longer than 65536 bytes"
    assert isinstance(error, errors.ProtocolError)


@pytest.mark.parametrize(("kind", "code"), [(errors.ConfigError, 2), (errors.AppImportError, 3)])
def test_exit_codes(kind: type[errors.ConfigError], code: int) -> None:
    assert kind("x").exit_code == code
    assert kind("x", may_pass=True).exit_code == 4
    assert kind.exit_code == code


def test_an_import_error_is_a_config_error_with_the_users_traceback() -> None:
    error = errors.AppImportError("can't import x", "Traceback …")
    assert isinstance(error, errors.ConfigError)
    assert (str(error), error.details) == ("can't import x", "Traceback …")
