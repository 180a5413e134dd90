"""What a person looks at: the summary picture, the overlay, the page and the PDF."""
