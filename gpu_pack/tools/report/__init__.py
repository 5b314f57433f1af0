"""What people look at: a dataset as a page, its pictures as a contact sheet, and single records."""
