"""The formats that come with zoo; nothing outside this folder knows them by name."""
