"""`http:URL`: a classifier behind a web service, asked one picture a request.

`mapping.py` says how its requests and answers look, `client.py` sends them, `ledger.py` keeps every paid answer,
`load.py` makes a `Model` of it. The service is not trusted: its answers are data, limited in size, and run nothing.
"""
