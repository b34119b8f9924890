"ATST-Frame: the method, its embeddings."
