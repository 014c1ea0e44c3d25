"""The deployable gateway: `pbweb serve`, its settings, its pages, and its WebSocket class."""
