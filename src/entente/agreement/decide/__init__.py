"""May this request be served there, at this instant? With the clauses, and one sentence."""

from entente.agreement.decide.deciding import Rules, decide
from entente.agreement.decide.decision import Decision
from entente.agreement.decide.formulas import Request

__all__ = ["Decision", "Request", "Rules", "decide"]
