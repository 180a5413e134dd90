"""The commands of `osteonode`, by who types them; whatever is slow to import stays inside its command."""
