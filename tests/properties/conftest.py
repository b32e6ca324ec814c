"""Each example has pools of its own."""

from tests import warm

kept_zygote = warm.keep()
