"""All that runs inside a worker process; starts with few imports, and knows neither pool nor driver."""
