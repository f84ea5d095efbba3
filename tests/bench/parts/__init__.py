"""What several measurements need: a company in the tables, simulators as processes, where the time goes."""
