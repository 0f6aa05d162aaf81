"""The use case of the data plane: one governed request from principal to settlement."""
