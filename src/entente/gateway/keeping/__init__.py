"""Keeping what clients want to fetch again or go on from: answers, conversations, long runs."""
