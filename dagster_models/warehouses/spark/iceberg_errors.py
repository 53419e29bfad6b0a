"""Errors of pyiceberg, of a catalog and of delta-rs as ours."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.secrets import without
from dagster_models.warehouses.spark.errors import overtaken


@contextlib.contextmanager
def translated(relation: Relation, secrets: Collection[str] = ()) -> Iterator[None]:
    """*secrets*: what no message shows, whoever has written it."""
    from deltalake.exceptions import DeltaError
    from pyiceberg import exceptions as given
    from requests.exceptions import RequestException
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError

    def cause(error: Exception) -> Exception | None:  # a traceback shows the causes, too
        return None if any(secrets) else error

    try:
        yield
    except (
        given.CommitFailedException,
        given.NamespaceAlreadyExistsError,
        given.NoSuchTableError,
        given.TableAlreadyExistsError,
        IntegrityError,
    ) as error:
        raise overtaken(relation, error) from error
    except (
        *(given.UnauthorizedError, given.ForbiddenError, given.OAuthError),
        given.AuthorizationExpiredError,
    ) as error:
        what = f"the Iceberg catalog refuses: {error}. Look at its token or credential, and its"
        what += " rights"
        raise _ours(ErrorKind.PERMISSION, relation, what, error, secrets) from None
    except (
        *(SQLAlchemyError, RequestException, given.CommitStateUnknownException),
        *(given.ServerError, given.ServiceUnavailableError, given.TooManyRequestsError),
    ) as error:
        what = f"the Iceberg catalog: {error}"
        raise _ours(ErrorKind.UNREACHABLE, relation, what, error, secrets) from cause(error)
    except (
        *(DeltaError, OSError, given.ValidationError, given.RESTError, given.NoSuchNamespaceError),
        *(TypeError, ValueError),
    ) as error:
        raise _ours(ErrorKind.IO, relation, str(error), error, secrets) from cause(error)


def is_unanswered(error: Exception) -> bool:
    """Whether a commit that has raised this may take place all the same."""
    from pyiceberg import exceptions as given
    from requests.exceptions import RequestException
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    lost = (given.CommitStateUnknownException, given.ServerError, given.ServiceUnavailableError)
    return isinstance(error, (RequestException, *lost))


def _ours(
    kind: ErrorKind, relation: Relation, what: str, error: Exception, secrets: Collection[str]
) -> WarehouseError:
    return WarehouseError(
        kind,
        f"{relation}: {without(what, secrets)}",
        name=type(error).__name__,
        transient=kind is ErrorKind.UNREACHABLE,
    )
