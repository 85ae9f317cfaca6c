"""Review images: write a page to mark them on, compare two readers' reviews, and merge them."""
