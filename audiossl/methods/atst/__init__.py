"ATST: the method for clips."
