"""Secret fields of contexts: kept sealed beside the job, opened for its run, masked in all that is reported.

The package is not called ``secrets``: Prefect puts the folder of ``flows/catalog.py`` on ``sys.path`` when it loads a
flow by path, and the standard library's ``secrets`` would be hidden by it.
"""
