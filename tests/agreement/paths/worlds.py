"""An agreement with every clause that moves money, and scenarios to run it through."""

from __future__ import annotations

from entente.agreement.load import Book, Texts, load
from entente.agreement.paths.plan import Plan
from entente.agreement.paths.read import read

DOCUMENT = """
agreement: {id: lab-cloud, currency: USD, scale: SCALE, rounding: floor_then_first,
            zone: Europe/Berlin, effective: 2023-01-23}
attributes: [{id: what}, {id: sold_as}]
parties:
- {id: lab, kind: lab}
- {id: cloud, kind: cloud}
- {id: others, kind: investors}
- {id: nonprofit, kind: nonprofit}
- {id: experts, kind: panel, members: [ada, bob, eve]}
events:
- {id: agi, declared_by: lab, verified_by: {panel: experts, quorum: "2/3"}}
triggers:
- {id: recouped, total: lab_profit, at_least: "3e9", curable: false}
contributions:
- {id: C2019, party: cloud, to: lab, committed: "1e9", form: cash, cap_multiple: 20}
- {id: C2021, party: cloud, to: lab, committed: "2e9", form: cash, cap_multiple: 6}
- {id: C2023, party: cloud, to: lab, committed: "10e9", form: cash, cap_multiple: 6}
bases:
- {id: lab_profit, owner: lab, when: {what: profit}, measure: gross}
- {id: lab_revenue, owner: lab, when: {what: revenue}, measure: net, less: {what: refund},
   bundles: [{when: {sold_as: suite}, components: {model: "20", office: "10"},
              by: stand_alone_price, counts: [model]}]}
- {id: spend, owner: lab, when: {what: compute}, measure: gross}
meters:
- {id: compute_meter, when: {what: compute}, counts: amount}
- {id: token_meter, when: {what: tokens}, counts: input}
rates:
- {id: discount, meter: compute_meter, payer: lab, payee: cloud, per: 1, mode: graduated,
   resets: year, tiers: [{up_to: "1e9", price: "1"}, {up_to: "3e9", price: "0.9"}, {price: "4/5"}]}
- {id: volume, meter: token_meter, payer: cloud, payee: lab, per: 1_000_000, mode: volume,
   resets: never, tiers: [{up_to: 500_000_000, price: "0.5"}, {price: "1/3"}]}
shares:
- {id: capped, payer: lab, payee: cloud, ratio: "1/5", base: lab_revenue,
   later: [{effective: 2025-01-01, ratio: "3/20"}],
   cap: {total: "1_500_000_000", counts_from: 2024-01-01},
   defer: {pay_ratio: "2/3", released: 2025-07-01}, until: {event: agi.verified}}
- {id: windowed, payer: cloud, payee: lab, ratio: "1/7", base: spend,
   defer: {pay_max: "1e8", each: year}}
- {id: after, payer: cloud, payee: others, ratio: "1/100", base: lab_profit,
   until: {event: recouped.met}}
commitments:
- {id: rolled, buyer: lab, seller: cloud, total: "25e9", eligible: spend, shortfall: rollover,
   at_end: true_up, excess: carries,
   schedule: [{begins: 2023-01-01, before: 2024-07-01, amount: "5e9"},
              {begins: 2024-07-01, before: 2025-10-01, amount: "20e9"}]}
- {id: whole, buyer: lab, seller: cloud, total: "7e9", eligible: spend, shortfall: true_up,
   until: {date: 2025-06-30, inclusive: true}}
- {id: until_agi, buyer: lab, seller: cloud, total: "6e9", eligible: spend, shortfall: true_up,
   until: {event: agi.verified}}
waterfalls:
- id: ladder
  payer: lab
  base: lab_profit
  tiers:
  - {id: recoup, split: {cloud: "3/4", others: "1/4"},
     until: {cloud: {of: {contributions: [C2019, C2021, C2023], counted: committed, forms: [cash],
                          times: 1}, measured_on: payouts, counts_from: inception}}}
  - {id: second, split: {cloud: "49/100", others: "49/100", nonprofit: "2/100"},
     until: {cloud: {amount: "CAP", measured_on: payouts, counts_from: FROM},
             others: {amount: "150e9", measured_on: payouts, counts_from: inception}},
     on_cap: {revert_to: nonprofit}}
  - {id: last, split: {nonprofit: 1}}
statements:
- {id: quarterly, parties: [lab, cloud, others, nonprofit], period: quarter, close_lag_days: 30}
"""

GROWING = """
amendments:
- {id: later-cap, effective: 2024-07-01, replace: {capped: {ratio: "1/4", later: []},
   discount: {tiers: [{up_to: "2e9", price: "1"}, {price: "0.7"}]}}}
- {id: lower-ladder, effective: 2025-01-01, replace: {ladder: {tiers: [
   {id: recoup, split: {cloud: "1/2", others: "1/2"},
    until: {cloud: {amount: "4e9", measured_on: payouts, counts_from: inception,
                    growth: {rate: "20%", starts: 2025-01-01}}}},
   {id: last, split: {nonprofit: 1}}]}}}
"""

SCENARIO = """
scenario: {id: base, title: Base, begins: 2024-Q1, steps: STEPS, paths: PATHS, seed: 7,
           watch: cloud}
streams:
- {id: revenue, kind: grown, first: "1e9", attributes: {what: revenue}, before: "123456789.01",
   growth: {each: step, normal: {mean: "0.06", deviation: "0.08"}}}
- {id: suites, kind: part, of: revenue, attributes: {what: revenue, sold_as: suite},
   ratio: {each: step, lognormal: {median: "0.2", spread: "0.3"}}}
- {id: refunds, kind: part, of: revenue, ratio: {fixed: "0.03"}, attributes: {what: refund}}
- {id: profit, kind: part, of: revenue, attributes: {what: profit}, before: "-5000",
   ratio: {each: path, triangular: {low: "-0.5", mode: "0.9", high: "9.5"}}}
- {id: compute, kind: part, of: revenue, attributes: {what: compute},
   ratio: {each: step, lognormal: {median: "0.9", spread: "0.4"}}}
- {id: tokens, kind: grown, first: 200_000_000, counts: input, attributes: {what: tokens},
   growth: {each: step, triangular: {low: "-0.2", mode: "0.1", high: "0.5"}}}
shocks:
- {id: downturn, title: Downturn, probability: "0.1", lasts: 2, factors: {revenue: "0.7"}}
correlations:
- {between: [revenue, compute], by: "-0.5"}
events:
- {state: agi.verified, probability: "0.15", not_before: 2024-07-01}
"""


def document(
    more: str = "", *, scale: int = 2, cap: str = "92e9", counts_from: str = "second"
) -> Book:
    """Load the agreement."""
    text = DOCUMENT.replace("SCALE", str(scale)).replace("CAP", cap).replace("FROM", counts_from)
    return load(Texts({"agreement.yaml": text + more}), "agreement.yaml")


def scenario(text: str = SCENARIO, *, steps: int = 8, paths: int = 12) -> Plan:
    """Read a scenario."""
    content = text.replace("STEPS", str(steps)).replace("PATHS", str(paths))
    plan, _ = read(content.encode(), "scenario.yaml")
    return plan
