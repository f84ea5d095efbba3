"""The state: Azure tables and queues behind the use cases' interfaces; only here is Azure's SDK known."""
