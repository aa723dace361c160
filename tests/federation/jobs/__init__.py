"""Jobs on a running federation, through the command line as users have it."""
