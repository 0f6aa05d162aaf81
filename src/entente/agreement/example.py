"""A small agreement with every primitive in it: the examples of the reference page.

A lab sells its models through a cloud. The names are made up; a test loads it.
"""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
agreement:
  id: lab-cloud
  title: The lab and the cloud
  currency: USD
  scale: 2
  rounding: floor_then_first
  zone: UTC
  effective: 2026-01-01
  source: an example

parameters:
- {id: board_reading, kind: text, meaning: since when the cap counts, choices: [inception],
   value: inception}

attributes:
- {id: surface, choices: [api_stateless, api_stateful, first_party],
   groups: {api: [api_stateless, api_stateful]}, required: true}
- {id: monthly_users, kind: number}

parties:
- {id: lab, kind: lab, name: The Lab}
- {id: cloud, kind: cloud, name: The Cloud}
- {id: research_arm, kind: company}
- {id: investors, kind: investors}
- {id: foundation, kind: nonprofit}
- {id: experts, kind: panel, members: [ada, ben, cleo]}

entity_graph:
- {id: R1, party: cloud, kind: controls, of: research_arm}

assets:
- {id: frontier, kind: model, owner: lab, models: ["frontier-*"], traits: {open_weight: false}}
- {id: open_model, kind: model, owner: lab, reserved: true, models: ["open-*"],
   traits: {open_weight: true}}
- {id: research_ip, kind: research_ip, owner: lab, reserved: true}

products:
- {id: assistant, surface: first_party, asset: frontier}

channels:
- {id: cloud_store, seller: cloud, host: cloud-one, region: eu-west}

windows:
- {id: launch, effective: 2026-03-01, until: {date: 2026-05-31, inclusive: true}}

events:
- {id: agi, declared_by: lab, verified_by: {panel: experts, quorum: "2/3"}, evidence: required}
- {id: shipped, declared_by: cloud, per: model}
- {id: cloud_cannot, declared_by: cloud, per: model}
- {id: cloud_declines, declared_by: cloud, per: model}

triggers:
- {id: profitable, total: investor_profit, at_least: "100e9", curable: false}

grants:
- {id: G1, to: cloud, affiliates: true, asset: research_ip, exclusive: false,
   until: {event: agi.verified}}
- {id: G2, to: anyone, asset: open_model, exclusive: false,
   provided: {monthly_users: {at_most: 700_000_000}}}

exclusivities:
- {id: X1, holder: cloud, what: {surface: api, asset: frontier}, only: {host: cloud-one},
   until: {earliest_of: [{event: agi.verified}, {date: 2032-12-31, inclusive: true}]}}

prohibitions:
- {id: P1, binds: cloud, what: {use: training}, limit: {of: asset.compute, at_most: "1e26"},
   until: {event: profitable}}

exceptions:
- {id: E1, overrides: X1, when: {segment: national_security}}

precedences:
- {id: F1, kind: first_ship, holder: cloud, what: {asset: frontier, window: launch},
   place: {host: cloud-one}, per: model, shipped: shipped, lead: 30d,
   waiver: {all: [{event: cloud_cannot.declared}, {event: cloud_declines.declared}]}}

contributions:
- {id: C1, party: cloud, to: lab, committed: "13e9", form: cash, cap_multiple: 6}

meters:
- {id: M1, when: {seller: cloud}, counts: tokens}

rates:
- {id: T1, meter: M1, payer: cloud, payee: lab, per: 1_000_000, mode: graduated, resets: month,
   tiers: [{up_to: 1_000_000_000, price: "0.5"}, {price: "0.4"}]}

bases:
- {id: lab_sales, owner: lab, when: {seller: lab}, measure: gross}

shares:
- {id: S1, payer: lab, payee: cloud, ratio: "1/5", base: lab_sales, cap: {total: "38e9",
   counts_from: {parameter: board_reading}}}

waterfalls:
- id: W1
  payer: lab
  base: lab_sales
  tiers:
  - {id: recoup, split: {cloud: "3/4", investors: "1/4"},
     until: {cloud: {of: {contributions: [C1], counted: funded, forms: [cash], times: 1},
     measured_on: payouts, counts_from: inception}}}
  - {id: rest, split: {foundation: 1}}

commitments:
- {id: K1, buyer: lab, seller: cloud, total: "250e9", eligible: lab_sales, shortfall: none,
   until: {date: 2032-12-31, inclusive: true}}

stakes:
- id: O1
  company: lab
  basis: as_converted_diluted
  securities: {common: {converts: 1, counts_in: [outstanding, as_converted, as_converted_diluted]}}
  holdings: [{holder: foundation, security: common, units: 26}, {holder: cloud, security: common,
    units: 27}, {holder: investors, security: common, units: 47}]
  whole: 100

statements:
- {id: Q1, parties: [lab, cloud], period: quarter, close_lag_days: 15}

amendments:
- {id: A1, effective: 2027-01-01, end: [E1], replace: {S1: {ratio: "1/10"}},
   add: {exceptions: [{id: E2, overrides: X1, when: {segment: [national_security, research]}}]}}

scenarios:
- {id: smaller_share, replace: {S1: {ratio: "1/20"}}}
"""
