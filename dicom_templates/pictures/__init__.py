"""What a person looks at: the summary picture, the overlay, the HTML page and the PDF."""
