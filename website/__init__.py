"""What makes the site of docs/: `make docs` has Sphinx build it into site/, and every warning is an error.

`conf.py` is Sphinx's; `repository.py` brings in what is no page of docs/, `reference.py` what the docstrings say.
"""
