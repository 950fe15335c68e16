"""Taylor mode: networks evaluated on truncated Taylor series, for derivatives of every order in one sweep."""
