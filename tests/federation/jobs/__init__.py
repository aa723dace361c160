"""Jobs on a running federation, submitted with the command line."""
