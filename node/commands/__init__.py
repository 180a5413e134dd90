"""The commands of `osteonode`, by who types them; imports of weight stay inside the commands that need them."""
