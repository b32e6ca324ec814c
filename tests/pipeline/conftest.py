"""The tests of pipelines make a thousand workers, and many of them look at arrays."""

from tests import warm

kept_zygote = warm.keep()
