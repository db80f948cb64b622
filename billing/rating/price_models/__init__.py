"""The price models: what usage costs, and the words for it.

A new model is one registered class in a module of this package. Its dataclass fields are the
fields of its documents; validation, API, admin forms, documentation and tests are derived from the
registry.
"""

from importlib import import_module
from pkgutil import iter_modules

from billing.rating.price_models.base import PRICE_MODELS as PRICE_MODELS
from billing.rating.price_models.base import PriceModel as PriceModel

for module in iter_modules(__path__, f"{__name__}."):
    import_module(module.name)
