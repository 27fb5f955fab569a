"""What each section of the HTML report shows, as plain values for its template."""
