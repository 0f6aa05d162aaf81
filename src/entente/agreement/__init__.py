"""The commercial agreement as a document: who may serve what where, and who is owed what.

Pure: values in, values out. `decide` answers for one request, `settle` for a period.
"""
