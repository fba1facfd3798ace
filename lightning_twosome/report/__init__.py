"""A run's folder as one HTML page that needs no network, and as figures for a paper.

::

    runs.py      RUN/config.yaml, metrics.csv, *.json, recordings --load--> Run        what a run has written
    groups.py    runs of one config that differ in the seed       --------> Group      what is averaged
    estimates.py one number a run                                 --------> Estimate   mean and 95 % interval
    sections/    groups                                           --------> Section    tables, figures, sentences
    drawing.py   Figure                                           --------> SVG, PNG
    page.py      sections                                         --------> the page

Nothing here imports torch, transformers or lightning: a report is made from files alone.
"""
