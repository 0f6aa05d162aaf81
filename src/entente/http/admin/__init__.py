"""The control plane over HTTP: `/admin/v1`, for admin keys only."""
