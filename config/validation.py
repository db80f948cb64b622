"""A model's own validation, told in the errors that services raise."""

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model

from config.errors import DomainError, InvalidInputError


def validate(instance: Model) -> None:
    """Check every field and constraint of an unsaved or changed row.

    Raises DomainError with code `already_exists` when only a unique value is taken, otherwise
    InvalidInputError for the first wrong field.
    """
    try:
        instance.full_clean()
    except ValidationError as error:
        field, errors = next(iter(error.error_dict.items()))
        message = " ".join(errors[0].messages)
        is_taken = all(
            item.code in {"unique", "unique_together"}
            for items in error.error_dict.values()
            for item in items
        )
        if is_taken:
            raise DomainError(message, code="already_exists") from error
        field = "" if field == NON_FIELD_ERRORS else field
        raise InvalidInputError(message, field=field) from error
