import customers.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0007_dunning'),
    ]

    operations = [
        migrations.AddField(
            model_name='taxrate',
            name='is_default',
            # What was there before was charged to those who were given it, and still is.
            field=models.BooleanField(default=False, help_text='Taxable customers there that have no rates of their own are charged it.', verbose_name='charged by default'),
        ),
        migrations.AddConstraint(
            model_name='taxrate',
            constraint=models.CheckConstraint(condition=models.Q(('is_default', False), models.Q(('country', ''), _negated=True), _connector='OR'), name='customers_taxrate_default_of_a_country', violation_error_message='Name the country whose customers are charged it.'),
        ),
        migrations.AddField(
            model_name='customer',
            name='is_taxed_by_country',
            field=models.BooleanField(default=True, help_text='While it has no tax rates of its own, it is charged those of its country.', verbose_name='taxed by country'),
        ),
        migrations.AlterField(
            model_name='customer',
            name='country',
            field=models.CharField(blank=True, help_text='Two letters by ISO 3166, such as FR.', max_length=2, validators=[customers.models.validate_country]),
        ),
    ]
