import pytest

# What the laws compare is shown when it differs.
pytest.register_assert_rewrite("tests.billing.life.laws")
