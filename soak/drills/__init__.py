"""The drills, one file a kind of fault; `soak.registry` names them."""
