"""The one filter between a caller and customer-owned rows."""

from typing import Self

from django.db import models

from customers.principals import Principal


class CustomerOwnedQuerySet[M: models.Model](models.QuerySet[M]):
    """Rows that belong to a customer; `customer_path` leads to the customer's id."""

    customer_path = "customer_id"

    def visible_to(self, principal: Principal) -> Self:
        """Return the rows that `principal` may know exist."""
        if principal.customer_ids is None:
            return self
        return self.filter(**{f"{self.customer_path}__in": principal.customer_ids})
