"""The one declaration of every option, and how flags, environment and file become one `Settings`."""
