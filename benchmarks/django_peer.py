"""django-import-export with use_bulk, on the same table."""

from typing import Any

import django
import tablib
from django.apps import AppConfig
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict


class Bench(AppConfig):
    """The application that the measured model belongs to; it has no tables of its own."""

    name = "benchmarks"
    label = "bench"


def import_rows(uri: str, text: str) -> None:
    """Import CSV text into ``goods``, as its users do: the whole file in memory, in bulk."""
    resource = _resource(uri)
    outcome = resource.import_data(tablib.Dataset().load(text, format="csv"), raise_errors=True)
    assert not outcome.has_errors()


def _resource(uri: str) -> Any:
    parts = conninfo_to_dict(uri)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "HOST": parts["host"],
        "USER": parts["user"],
    }
    settings.configure(
        DATABASES={"default": database}, INSTALLED_APPS=["import_export", "benchmarks.django_peer.Bench"], USE_TZ=True
    )
    django.setup()
    from django.db import models
    from import_export.resources import ModelResource

    class Goods(models.Model):
        id = models.IntegerField(primary_key=True)
        sku = models.CharField(max_length=20)
        name = models.TextField()
        price = models.DecimalField(max_digits=10, decimal_places=2)
        cost = models.DecimalField(max_digits=10, decimal_places=2)
        stock = models.IntegerField()
        weight = models.FloatField()
        active = models.BooleanField()
        added = models.DateField()
        note = models.TextField(null=True)

        class Meta:
            app_label = "bench"
            db_table = "goods"
            managed = False

    class GoodsResource(ModelResource):
        class Meta:
            model = Goods
            use_bulk = True
            batch_size = 1000

    return GoodsResource()
