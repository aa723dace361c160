"""Code of the examples at the server and the sites; it travels with each job."""
