"""OpenAI's surfaces of sound, pictures and moderation: what governs them, and what they used. Pure.

Bodies pass between clients and providers as they are; a request is read for its model and
its bounds, an answer for its end and its usage. What an answer does not say is unknown.
"""
