"""Pools, gates and backends as the contract has them."""

from tests.contract.conftest import backend, gate, kept_zygote, last, make_pool, pool

__all__ = ["backend", "gate", "kept_zygote", "last", "make_pool", "pool"]
