"""
A pytest plugin for tests of Dags that use this package: both services on localhost, no key, no account.

``pip install 'airflow-provider-mediamagic-silentwitness[testing]'``, and pytest finds it. The fixture is
``simulated_services``, see :class:`airflow_provider.testing.services.SimulatedServices`.
"""
