"""What travels to the sites with the job."""
